# docker build -t caption-service .                                   CPU
# docker build -t caption-service:cuda --build-arg TORCH_BACKEND=cuda .    NVIDIA GPU
# The native libraries are for linux/amd64: elsewhere add --platform linux/amd64.

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
ARG TORCH_BACKEND=cpu
WORKDIR /src

# Packages are a layer of their own: a change of the code does not fetch libtorch again.
COPY global.json Directory.Build.props Directory.Build.targets Directory.Packages.props BannedSymbols.txt ./
COPY src/CaptionService.Captioning/build src/CaptionService.Captioning/build
COPY src/CaptionService.Captioning/CaptionService.Captioning.csproj src/CaptionService.Captioning/
COPY src/CaptionService.Trainer/CaptionService.Trainer.csproj src/CaptionService.Trainer/
COPY src/CaptionService.Api/CaptionService.Api.csproj src/CaptionService.Api/
RUN dotnet restore src/CaptionService.Trainer -r linux-x64 -p:TorchBackend=$TORCH_BACKEND \
 && dotnet restore src/CaptionService.Api -r linux-x64 -p:TorchBackend=$TORCH_BACKEND

# Both programs into one folder: they share libtorch and the models, and central package versions keep them alike.
# The server comes second, so that what both bring is the server's.
COPY .editorconfig ./
COPY src src
RUN dotnet publish src/CaptionService.Trainer -c Release -r linux-x64 --no-self-contained --no-restore -p:TorchBackend=$TORCH_BACKEND -o /app \
 && dotnet publish src/CaptionService.Api -c Release -r linux-x64 --no-self-contained --no-restore -p:TorchBackend=$TORCH_BACKEND -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0
LABEL org.opencontainers.image.title="CaptionService" \
      org.opencontainers.image.description="Self-hosted image captioning: photos in, ranked captions out" \
      org.opencontainers.image.licenses="MIT"
# No package is installed: libtorch and libvips bring all they need but glibc, libstdc++ and libgcc, and those are in the image.

# ASPNETCORE_HTTP_PORTS listens on every address of the container.
# DOTNET_EnableDiagnostics=0: no diagnostics socket or shared memory, so nothing is written outside /tmp and /data.
# VIPS_MAX_COORD: libvips itself refuses pictures with a longer side; it reads this only from its environment.
ENV ASPNETCORE_HTTP_PORTS=8080 \
    Storage__Folder=/data \
    DOTNET_EnableDiagnostics=0 \
    VIPS_MAX_COORD=30000

WORKDIR /app
COPY --from=build /app ./
COPY --chmod=755 deploy/healthcheck.sh ./
RUN install -d -o 1654 -g 1654 /data
VOLUME /data

# The user "app" of the .NET images; by number, so that an orchestrator can see it is not root.
USER 1654:1654
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/app/healthcheck.sh"]

# The server is process 1: SIGTERM reaches it, it answers what it has accepted, and leaves with 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["dotnet", "CaptionService.Api.dll"]
