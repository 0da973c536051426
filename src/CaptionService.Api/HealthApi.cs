using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api;

/// <summary>What an orchestrator asks.</summary>
public static class HealthApi
{
    /// <summary>Registers <see cref="Readiness"/> and <see cref="Heartbeat"/>.</summary>
    public static IServiceCollection AddHealth(this IServiceCollection services) => services.AddSingleton<Readiness>().AddSingleton<Heartbeat>();

    /// <summary>Maps <c>GET /health/live</c> and <c>GET /health/ready</c>.</summary>
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder health = routes.MapGroup("/health").WithTags("Health").AllowAnonymous();
        health.MapGet("/live", Ok<HealthResponse> (Heartbeat heartbeat) => heartbeat.Stuck is { } stuck
                ? throw new ProblemException(ProblemTable.WorkerStuck, $"The models have been at one batch for {stuck.TotalSeconds:0} seconds.")
                : TypedResults.Ok(new HealthResponse("live")))
            .WithName("GetLive").WithSummary("200 as long as the process answers and the models come back from each batch; 503 when only a restart helps")
            .Problems(503);
        health.MapGet("/ready", Ok<HealthResponse> (Readiness readiness) =>
            {
                readiness.ThrowIfNotReady();
                return TypedResults.Ok(new HealthResponse("ready"));
            })
            .WithName("GetReady").WithSummary("200 when photos are captioned; 503 while the model loads and from the start of a shutdown")
            .Problems(503);
    }
}

/// <summary>Answer of the health addresses.</summary>
/// <param name="Status"><c>live</c> or <c>ready</c>.</param>
public sealed record HealthResponse(string Status);
