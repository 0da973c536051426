using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace CaptionService.Api;

/// <summary>What an orchestrator asks, and what an admin sees of it: every feature brings checks of its own.</summary>
public static class HealthApi
{
    /// <summary>Tag of the checks that <c>GET /health/live</c> shows; <c>GET /health/ready</c> shows all.</summary>
    private const string Live = "live";

    private const string Detail = " Admins, which everybody is where no keys are needed, see each check.";

    /// <summary>Registers <see cref="Readiness"/>, <see cref="Heartbeat"/> and their checks.</summary>
    public static IServiceCollection AddHealth(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<WorkerCheck>("worker", tags: [Live]).AddCheck<ModelsCheck>("models");
        return services.AddSingleton<Readiness>().AddSingleton<Heartbeat>();
    }

    /// <summary>Maps <c>GET /health/live</c> and <c>GET /health/ready</c>.</summary>
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder health = routes.MapGroup("/health").WithTags("Health").AllowAnonymous();
        health.MapGet("/live", (Heartbeat heartbeat, HttpContext http, HealthCheckService checks, CancellationToken aborted) =>
                Answer("live", Wrong(heartbeat), http, checks, check => check.Tags.Contains(Live), aborted))
            .WithName("GetLive")
            .WithSummary("200 as long as the process answers and the models come back from each batch; 503 when only a restart helps")
            .WithDescription("A batch that takes three times as long as the slowest before it, and more than a minute, does not come back."
                + Detail)
            .Problems(503);
        health.MapGet("/ready", (Readiness readiness, HttpContext http, HealthCheckService checks, CancellationToken aborted) =>
                Answer("ready", Wrong(readiness), http, checks, _ => true, aborted))
            .WithName("GetReady").WithSummary("200 when photos are captioned; 503 while the model loads and from the start of a shutdown")
            .WithDescription("Only what keeps photos from being captioned decides; what else is wrong, the database or the disk, "
                + "is a check's own status." + Detail)
            .Problems(503);
    }

    private static (ProblemKind Kind, string Detail)? Wrong(Heartbeat heartbeat) => heartbeat.Stuck is { } stuck
        ? (ProblemTable.WorkerStuck, $"The models have been at one batch for {stuck.TotalSeconds:0} seconds.")
        : null;

    private static (ProblemKind Kind, string Detail)? Wrong(Readiness readiness) =>
        readiness.NotReady is { } kind ? (kind, $"{kind.Title}.") : null;

    private static async Task<Ok<HealthResponse>> Answer(string status, (ProblemKind Kind, string Detail)? wrong, HttpContext http,
        HealthCheckService checks, Func<HealthCheckRegistration, bool> which, CancellationToken aborted)
    {
        IReadOnlyList<HealthCheckResponse>? seen = null;
        if (http.User.May(Scope.Admin))
        {
            HealthReport report = await checks.CheckHealthAsync(which, aborted);
            seen = [.. report.Entries.OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(HealthCheckResponse.Of)];
        }
        return wrong is var (kind, detail)
            ? throw new ProblemException(kind, detail) { Member = seen is null ? null : ("checks", seen) }
            : TypedResults.Ok(new HealthResponse(status, seen));
    }
}

/// <summary>Answer of the health addresses.</summary>
/// <param name="Status"><c>live</c> or <c>ready</c>.</param>
/// <param name="Checks">Each check, for admins; a problem has them in its member <c>checks</c>.</param>
public sealed record HealthResponse(
    string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<HealthCheckResponse>? Checks);

/// <summary>What one check found.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Status"><c>healthy</c>, <c>degraded</c> or <c>unhealthy</c>.</param>
/// <param name="Description">What it found, for people.</param>
/// <param name="DurationMs">How long it took, in milliseconds.</param>
public sealed record HealthCheckResponse(string Name, string Status, string? Description, double DurationMs)
{
    internal static HealthCheckResponse Of(KeyValuePair<string, HealthReportEntry> entry) => new(entry.Key, entry.Value.Status switch
    {
        HealthStatus.Healthy => "healthy",
        HealthStatus.Degraded => "degraded",
        _ => "unhealthy",
    }, entry.Value.Description, Math.Round(entry.Value.Duration.TotalMilliseconds, 2));
}

/// <summary>Whether the models come back from each batch.</summary>
internal sealed class WorkerCheck(Heartbeat heartbeat) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(heartbeat.Stuck is { } stuck
            ? HealthCheckResult.Unhealthy($"One batch has been running for {stuck.TotalSeconds:0} s.")
            : HealthCheckResult.Healthy("Every batch has come back."));
}

/// <summary>Whether photos are captioned.</summary>
internal sealed class ModelsCheck(Readiness readiness) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(readiness.NotReady is { } kind
            ? HealthCheckResult.Unhealthy($"{kind.Title}.")
            : HealthCheckResult.Healthy("Loaded and warm."));
}
