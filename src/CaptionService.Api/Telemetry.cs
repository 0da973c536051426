using System.Reflection;
using CaptionService.Captioning;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace CaptionService.Api;

/// <summary>
/// What the service measures: <c>GET /metrics</c> for Prometheus, and metrics and traces by OTLP where OpenTelemetry's own
/// variables name an address. Where none does, nothing listens for spans and none is made.
/// </summary>
public static class Telemetry
{
    /// <summary>Name of the service's own meter.</summary>
    public const string MeterName = "CaptionService";

    /// <summary>Collects the service's own instruments and spans, ASP.NET Core's and the runtime's.</summary>
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService("caption-service",
                    serviceVersion: typeof(Telemetry).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion)
                .AddEnvironmentVariableDetector())      // last: OTEL_SERVICE_NAME wins
            .WithMetrics(metrics =>
            {
                metrics.AddMeter(MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                    .AddPrometheusExporter();
                if (IsSent(builder.Configuration, "METRICS"))
                    metrics.AddOtlpExporter(exporter => Address(exporter, builder.Configuration, "METRICS"));
            });
        if (IsSent(builder.Configuration, "TRACES"))
        {
            telemetry.WithTracing(traces => traces
                .AddSource(CaptionTrace.SourceName)
                .AddAspNetCoreInstrumentation(requests => requests.Filter = http =>         // probes come every few seconds
                    !http.Request.Path.StartsWithSegments("/health") && !http.Request.Path.StartsWithSegments("/metrics"))
                .AddOtlpExporter(exporter => Address(exporter, builder.Configuration, "TRACES")));
        }
    }

    /// <summary>Maps <c>GET /metrics</c>.</summary>
    public static void MapTelemetry(this IEndpointRouteBuilder routes) => routes.MapPrometheusScrapingEndpoint();

    private static bool IsSent(ConfigurationManager settings, string signal) =>
        settings[$"OTEL_{signal}_EXPORTER"] != "none"
        && !string.IsNullOrEmpty(settings[$"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"] ?? settings["OTEL_EXPORTER_OTLP_ENDPOINT"]);

    // A signal's own address is used as it stands; the exporter itself reads only the common one, to which it adds the path.
    private static void Address(OtlpExporterOptions exporter, ConfigurationManager settings, string signal)
    {
        if (settings[$"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"] is { Length: > 0 } own)
            exporter.Endpoint = new Uri(own);
    }
}
