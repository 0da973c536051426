using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace CaptionService.Api;

/// <summary>How the server listens and what it puts up with.</summary>
public static class ServerLimits
{
    /// <summary>Address when none is configured: this machine only.</summary>
    public const string DefaultAddress = "http://localhost:8080";

    /// <summary>Sets Kestrel's limits, the default address, and how JSON is written.</summary>
    /// <param name="builder">The server.</param>
    /// <param name="maxBodyBytes">Largest body where a route does not say.</param>
    public static void AddServerLimits(this WebApplicationBuilder builder, long maxBodyBytes)
    {
        ConfigurationManager configuration = builder.Configuration;
        // ASPNETCORE_URLS, --urls, ASPNETCORE_HTTP_PORTS (set by the .NET images) and Kestrel:Endpoints all count before the default.
        if (string.IsNullOrEmpty(configuration["urls"]) && string.IsNullOrEmpty(configuration["http_ports"]) && string.IsNullOrEmpty(configuration["https_ports"])
            && !configuration.GetSection("Kestrel:Endpoints").Exists())
        {
            builder.WebHost.UseUrls(DefaultAddress);
        }
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            KestrelServerLimits limits = kestrel.Limits;
            limits.MaxRequestBodySize = maxBodyBytes;      // routes narrow or widen it
            limits.MaxRequestLineSize = 4 * 1024;
            limits.MaxRequestHeadersTotalSize = 16 * 1024;
            limits.MaxRequestHeaderCount = 64;
            limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
            limits.KeepAliveTimeout = TimeSpan.FromMinutes(2);
            limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: TimeSpan.FromSeconds(10));
            limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: TimeSpan.FromSeconds(10));
        });
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.Encoder = Json.Encoder);
    }
}
