using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.RegularExpressions;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Tests;
using Xunit;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace CaptionService.Captioning.Tests.RepositoryFiles;

/// <summary>
/// What surrounds the code says the same as the code, and as itself. Whether it runs, deploy/replay-dockerfile.sh finds out.
/// </summary>
public sealed partial class PackagingTests
{
    private const int DeadlineSeconds = 60;         // Captioning:Deadline of the service

    // Instructions in order, their continuation lines joined.
    private static readonly (string Name, string Text)[] s_dockerfile =
    [
        .. Continuation().Replace(Comment().Replace(Repository.Read("Dockerfile"), ""), " ").Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', 2, StringSplitOptions.TrimEntries)).Select(part => (part[0], part[1])),
    ];

    [Theory]
    [InlineData(null, "libtorch-cpu-linux-x64", "TorchSharp-cuda-linux")]
    [InlineData("cpu", "libtorch-cpu-linux-x64", "TorchSharp-cuda-linux")]
    [InlineData("cuda", "TorchSharp-cuda-linux", "libtorch-cpu-linux-x64")]
    public async Task TorchBackend_chooses_the_native_package(string? backend, string expected, string other)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The native package is that of the system that builds.");
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
            ["msbuild", "src/CaptionService.Captioning", "-getItem:PackageReference", .. backend is null ? Array.Empty<string>() : ["-p:TorchBackend=" + backend]])
        {
            WorkingDirectory = Repository.Root, RedirectStandardOutput = true,
        };
        start.Environment.Remove("TorchBackend");
        using var msbuild = Process.Start(start)!;
        string output = await msbuild.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await msbuild.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(msbuild.ExitCode == 0, output);

        using var evaluated = JsonDocument.Parse(output);
        string[] packages = [.. evaluated.RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray().Select(item => item.GetProperty("Identity").GetString()!)];
        Assert.Contains("TorchSharp", packages);
        Assert.Contains(expected, packages);
        Assert.DoesNotContain(other, packages);
    }

    [Fact]
    public void Dockerfile_restores_before_it_copies_the_code()
    {
        string[] steps = [.. s_dockerfile.Where(i => i.Name is "COPY" or "RUN").Select(i => i.Text)];
        int restore = Array.FindIndex(steps, s => s.StartsWith("dotnet restore", StringComparison.Ordinal));
        int code = Array.IndexOf(steps, "src src");
        Assert.InRange(restore, 1, code - 1);
        // The client is for those who call the service, and no part of it.
        foreach (string project in Directory.GetFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories).Where(project => !project.EndsWith("Client.csproj", StringComparison.Ordinal)))
        {
            string relative = Path.GetRelativePath(Repository.Root, project);
            Assert.Contains(steps[..restore], s => s.Split(' ').Contains(relative));
        }
        foreach (string file in steps[..code].Where((_, i) => i != restore).SelectMany(s => s.Split(' ')[..^1]))
            Assert.True(Path.Exists(Path.Combine(Repository.Root, file)), file);
    }

    [Fact]
    public void Dockerfile_publishes_both_programs_as_they_were_restored()
    {
        string restore = Run("dotnet restore"), publish = Run("dotnet publish");
        foreach (string program in (string[])["src/CaptionService.Api", "src/CaptionService.Trainer"])
        {
            Assert.Contains($"dotnet restore {program} -r linux-x64 -p:TorchBackend=$TORCH_BACKEND", restore, StringComparison.Ordinal);
            Assert.Contains($"dotnet publish {program} -c Release -r linux-x64 --no-self-contained --no-restore -p:TorchBackend=$TORCH_BACKEND -o /app", publish, StringComparison.Ordinal);
        }
        Assert.Equal("TORCH_BACKEND=cpu", Instruction("ARG"));

        static string Run(string command) => s_dockerfile.Single(i => i.Name == "RUN" && i.Text.StartsWith(command, StringComparison.Ordinal)).Text;
    }

    [Fact]
    public void Dockerfile_runs_the_server_as_process_1_and_not_as_root()
    {
        Assert.Equal("1654:1654", Instruction("USER"));
        Assert.Equal("""["dotnet", "CaptionService.Api.dll"]""", Instruction("ENTRYPOINT"));
        Assert.Equal("SIGTERM", Instruction("STOPSIGNAL"));
        string[] environment = Instruction("ENV").Split(' ');
        Assert.Contains("ASPNETCORE_HTTP_PORTS=" + Instruction("EXPOSE"), environment);
        Assert.Contains($"VIPS_MAX_COORD={PhotoLimits.MaxSide}", environment);
        Assert.Contains("/data", Instruction("VOLUME"), StringComparison.Ordinal);
    }

    [Fact]
    public void Compose_file_runs_on_the_CPU_unless_the_gpu_is_asked_for()
    {
        var services = Map(Yaml("docker-compose.yml").Single(), "services");
        Assert.Equal(["caption-service", "gpu"], services.Keys.Cast<string>().Order());
        var cpu = Map(services, "caption-service");
        var gpu = Map(services, "gpu");
        Assert.False(cpu.ContainsKey("profiles"));
        Assert.Equal(["gpu"], List(gpu, "profiles"));
        Assert.Equal("cuda", Map(gpu, "build", "args")["TORCH_BACKEND"]);
        Assert.Equal("nvidia", ((IDictionary<object, object>)((IList<object>)Map(gpu, "deploy", "resources", "reservations")["devices"])[0])["driver"]);
    }

    [Fact]
    public void Compose_file_gives_the_container_little_and_the_world_nothing()
    {
        string port = Instruction("EXPOSE");
        foreach (var service in Map(Yaml("docker-compose.yml").Single(), "services").Values.Cast<IDictionary<object, object>>())
        {
            Assert.Equal([$"127.0.0.1:{port}:{port}"], List(service, "ports"));
            Assert.Equal("true", service["read_only"]);
            Assert.Equal(["/tmp"], List(service, "tmpfs"));
            Assert.Equal(["data:/data"], List(service, "volumes"));
            Assert.Equal(["ALL"], List(service, "cap_drop"));
            Assert.Equal(["no-new-privileges:true"], List(service, "security_opt"));
            Assert.True(Seconds((string)service["stop_grace_period"]) > DeadlineSeconds);

            // The image's own check, in compose's words.
            var health = Map(service, "healthcheck");
            Assert.Equal($"--interval={health["interval"]} --timeout={health["timeout"]} --start-period={health["start_period"]} --retries={health["retries"]} "
                + JsonSerializer.Serialize(List(service, "healthcheck", "test")).Replace("\"CMD\",", "", StringComparison.Ordinal),
                Instruction("HEALTHCHECK").Replace("CMD ", "", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Kubernetes_manifest_probes_and_stops_the_pod_as_the_service_expects()
    {
        var documents = Yaml("deploy/kubernetes.yaml");
        Assert.Equal(["Deployment", "Service"], documents.Select(d => d["kind"]));
        var pod = Map(documents[0], "spec", "template", "spec");
        var container = (IDictionary<object, object>)((IList<object>)pod["containers"])[0];
        Assert.Equal("/health/live", Map(container, "livenessProbe", "httpGet")["path"]);
        Assert.Equal("/health/ready", Map(container, "readinessProbe", "httpGet")["path"]);
        Assert.Equal("/health/ready", Map(container, "startupProbe", "httpGet")["path"]);
        Assert.Equal("true", Map(container, "securityContext")["readOnlyRootFilesystem"]);
        Assert.Equal(Instruction("USER"), $"{Map(pod, "securityContext")["runAsUser"]}:{Map(pod, "securityContext")["runAsGroup"]}");
        int preStop = int.Parse((string)((IList<object>)Map(container, "lifecycle", "preStop", "exec")["command"])[1], null);
        Assert.True(int.Parse((string)pod["terminationGracePeriodSeconds"], null) > preStop + DeadlineSeconds);
        Assert.Equal(Map(documents[1], "spec", "selector")["app"], Map(documents[0], "spec", "template", "metadata", "labels")["app"]);
    }

    [Fact]
    public void Nginx_and_systemd_leave_the_service_its_sizes_and_times()
    {
        string nginx = Repository.Read("deploy/nginx.conf"), unit = Repository.Read("deploy/caption-service.service");
        Assert.True(Number(nginx, @"client_max_body_size (\d+)m;") * 1024 * 1024 > 16 * PhotoLimits.MaxBytes + 64 * 1024);
        Assert.True(Number(nginx, @"proxy_read_timeout (\d+)s;") > DeadlineSeconds);
        Assert.True(Number(unit, @"TimeoutStopSec=(\d+)") > DeadlineSeconds);
        Assert.Contains($"VIPS_MAX_COORD={PhotoLimits.MaxSide}", unit, StringComparison.Ordinal);
    }

    [Fact]
    public void The_documented_job_is_one_the_trainer_takes()
    {
        string json = DocumentedJob().Match(Repository.Read("docs/training.md")).Groups[1].Value;
        var job = JsonSerializer.Deserialize<JobFile>(json, JobFile.Json)!;
        job.Options.Check(hasBaseModel: false);
        Assert.NotEqual(new TrainingOptions(), job.Options);
    }

    [Fact]
    public void The_exit_codes_of_the_trainer_are_documented()
    {
        string document = Repository.Read("docs/training.md");
        foreach (var code in typeof(TrainerExit).GetFields())
            Assert.Matches($@"(?m)^\| {code.GetRawConstantValue()} \| ", document);
    }

    [Fact]
    public void The_defaults_and_ranges_of_a_request_are_documented()
    {
        var defaults = new CaptionOptions();
        string document = Repository.Read("docs/api.md");
        Assert.Matches($@"\| `count` \| {defaults.Count}, .* \| 1–{CaptionOptions.MaxBeamWidth} \|", document);
        Assert.Matches($@"\| `beamWidth` \| {defaults.BeamWidth}, .* \| 1–{CaptionOptions.MaxBeamWidth} \|", document);
        Assert.Contains($"| `maxLength` | {defaults.MaxLength} | 1–{CaptionOptions.MaxMaxLength} |", document, StringComparison.Ordinal);
        Assert.Contains(FormattableString.Invariant($"| `lengthNormalization` | {defaults.LengthNormalization} | 0–2 |"), document, StringComparison.Ordinal);
    }

    /// <summary>The text of the last instruction of a name.</summary>
    private static string Instruction(string name) => s_dockerfile.Last(i => i.Name == name).Text;

    private static List<IDictionary<object, object>> Yaml(string file)
    {
        using var reader = new StreamReader(Path.Combine(Repository.Root, file));
        var parser = new MergingParser(new Parser(reader));
        var deserializer = new DeserializerBuilder().Build();
        var documents = new List<IDictionary<object, object>>();
        parser.Consume<YamlDotNet.Core.Events.StreamStart>();
        while (parser.Accept<YamlDotNet.Core.Events.DocumentStart>(out _))
            documents.Add(deserializer.Deserialize<Dictionary<object, object>>(parser));
        return documents;
    }

    private static IDictionary<object, object> Map(IDictionary<object, object> node, params string[] path) =>
        path.Aggregate(node, (map, key) => (IDictionary<object, object>)map[key]);

    private static IEnumerable<string> List(IDictionary<object, object> node, params string[] path) =>
        ((IEnumerable<object>)Map(node, path[..^1])[path[^1]]).Cast<string>();

    private static int Seconds(string duration) => int.Parse(duration.TrimEnd('s'), null);

    private static long Number(string text, [StringSyntax("Regex")] string pattern) => long.Parse(Regex.Match(text, pattern).Groups[1].Value, null);

    [GeneratedRegex(@"(?m)^#.*\n")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\\\n\s*")]
    private static partial Regex Continuation();

    [GeneratedRegex(@"```json\n(\{\s*""name""[^`]*)```")]
    private static partial Regex DocumentedJob();
}
