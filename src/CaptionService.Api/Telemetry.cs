using OpenTelemetry.Metrics;

namespace CaptionService.Api;

/// <summary>What the service measures, for Prometheus: <c>GET /metrics</c>.</summary>
public static class Telemetry
{
    /// <summary>Name of the service's own meter.</summary>
    public const string MeterName = "CaptionService";

    /// <summary>Collects the service's own instruments, ASP.NET Core's and the runtime's.</summary>
    public static void AddTelemetry(this IServiceCollection services) => services.AddOpenTelemetry().WithMetrics(metrics => metrics
        .AddMeter(MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
        .AddPrometheusExporter());

    /// <summary>Maps <c>GET /metrics</c>.</summary>
    public static void MapTelemetry(this IEndpointRouteBuilder routes) => routes.MapPrometheusScrapingEndpoint();
}
