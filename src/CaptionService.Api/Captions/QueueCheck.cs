using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Captions;

/// <summary>Whether there is room in the queue: where there is none, requests are refused.</summary>
internal sealed class QueueCheck(CaptionQueue queue, IOptions<CaptioningOptions> captioning) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        int waiting = queue.Length, room = captioning.Value.QueueCapacity;
        string text = $"{waiting} of at most {room} photos wait.";
        return Task.FromResult(waiting >= room ? HealthCheckResult.Degraded(text) : HealthCheckResult.Healthy(text));
    }
}
