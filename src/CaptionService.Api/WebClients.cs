using System.ComponentModel.DataAnnotations;
using System.IO.Compression;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using ZstdSharp;
using ZstdSharp.Unsafe;

namespace CaptionService.Api;

/// <summary>Which pages of other origins may call the service: section <c>Cors</c> of the configuration, or <c>Cors__Name</c> in the environment.</summary>
public sealed class CorsSettings
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Cors";

    /// <summary>Origins such as <c>https://app.example</c>, or <c>*</c> for all. Default: none.</summary>
    [Required]
    public IReadOnlyList<string> Origins { get; init; } = [];
}

/// <summary>
/// What clients expect of any HTTP service: HEAD wherever GET is, OPTIONS, cross-origin requests of browsers (Fetch), and
/// compressed bodies (RFC 9110, 8.4).
/// </summary>
public static class WebClients
{
    /// <summary>Adds cross-origin requests as the configuration allows them.</summary>
    public static void AddWebClients(this IServiceCollection services)
    {
        services.AddOptions<CorsSettings>().BindConfiguration(CorsSettings.Section).ValidateDataAnnotations()
            .Validate(cors => cors.Origins.All(IsOrigin), "Cors:Origins holds what is no origin: write https://app.example, without a path, or *.").ValidateOnStart();
        services.AddCors();
    }

    /// <summary>Comes before routing, so that HEAD finds the routes of GET.</summary>
    public static void UseWebClients(this WebApplication app)
    {
        app.Use(static (context, next) =>
        {
            HttpRequest request = context.Request;
            if (HttpMethods.IsHead(request.Method))
            {
                // Kestrel sends no body, whatever is written. A stream of events would not end.
                request.Method = HttpMethods.Get;
                request.Headers.Accept = "*/*";
            }
            return next(context);
        });
        app.UseRouting();
        app.Use(static async (context, next) =>
        {
            Inflate(context.Request);       // a refusal has the shape of its route
            await next(context);
            if (HttpMethods.IsOptions(context.Request.Method) && context.Response is { StatusCode: StatusCodes.Status405MethodNotAllowed, HasStarted: false })
            {
                context.Response.StatusCode = StatusCodes.Status204NoContent;       // with the Allow header of routing
            }
        });
        string[] origins = [.. app.Services.GetRequiredService<IOptions<CorsSettings>>().Value.Origins];
        if (origins.Length > 0)
        {
            app.UseCors(policy => (origins.Contains("*") ? policy.AllowAnyOrigin() : policy.WithOrigins(origins)).AllowAnyHeader().AllowAnyMethod()
                .WithExposedHeaders(HeaderNames.ContentLanguage, HeaderNames.Location, HeaderNames.RetryAfter, HeaderNames.ContentDisposition, HeaderNames.WWWAuthenticate, "RateLimit", "RateLimit-Policy")
                .SetPreflightMaxAge(TimeSpan.FromHours(1)));
        }
    }

    private static bool IsOrigin(string text) => text == "*"
        || Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" && uri.GetLeftPart(UriPartial.Authority).Equals(text, StringComparison.OrdinalIgnoreCase);

    private static void Inflate(HttpRequest request)
    {
        string[] codings = [.. request.Headers.ContentEncoding.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            .Where(coding => !coding.Equals("identity", StringComparison.OrdinalIgnoreCase))];
        if (codings.Length == 0)
            return;
        if (codings is not [var coding] || Reader(coding, request.Body) is not { } inflated)
            throw new ProblemException(ProblemTable.UnsupportedMediaType, $"The body has Content-Encoding '{string.Join(", ", codings).Shortened()}'; gzip, br, deflate and zstd are read, one at a time.");
        request.Body = new InflatedBody(inflated, request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>());
        request.Headers.Remove(HeaderNames.ContentEncoding);
        request.Headers.ContentLength = null;       // of what was sent, not of what is read
    }

    private static Stream? Reader(string coding, Stream body) => coding.ToLowerInvariant() switch
    {
        "gzip" or "x-gzip" => new GZipStream(body, CompressionMode.Decompress),
        "br" => new BrotliStream(body, CompressionMode.Decompress),
        "deflate" => new ZLibStream(body, CompressionMode.Decompress),
        "zstd" => Zstandard(body),
        _ => null,
    };

    // A frame may ask for a window of gigabytes; 8 MB are what every reader must have (RFC 9659).
    private static DecompressionStream Zstandard(Stream body)
    {
        var stream = new DecompressionStream(body);
        stream.SetParameter(ZSTD_dParameter.ZSTD_d_windowLogMax, 23);
        return stream;
    }
}

/// <summary>
/// A compressed body as it comes out, at most so many bytes of it: a bomb ends where a plain body of its size would. ASP.NET's
/// own RequestDecompression takes the limit before the route has set its own.
/// </summary>
/// <param name="inner">What inflates it.</param>
/// <param name="limit">The limit of a plain body, as the route sets it before it reads.</param>
internal sealed class InflatedBody(Stream inner, IHttpMaxRequestBodySizeFeature? limit) : Stream
{
    private long _read;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int read;
        try
        {
            read = await inner.ReadAsync(buffer, cancellationToken);
        }
        catch (Exception damaged) when (damaged is InvalidDataException or ZstdException or EndOfStreamException)
        {
            throw new ProblemException(ProblemTable.MalformedBody, "The body is not compressed as its Content-Encoding says, or is damaged.");
        }
        return limit?.MaxRequestBodySize is { } most && (_read += read) > most
            ? throw new ProblemException(ProblemTable.BodyTooLarge, $"Decompressed, the body has more than {most:N0} bytes.") : read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("A body is read asynchronously.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() { }
}
