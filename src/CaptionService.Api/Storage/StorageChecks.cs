using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Storage;

/// <summary>Whether the database can be reached. Captions are made without it.</summary>
internal sealed class DatabaseCheck(IDbContextFactory<CaptionDb> databases, IOptions<StorageOptions> storage) : IHealthCheck
{
    // A probe that waits for the database would fail with it.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(0.5);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        late.CancelAfter(Patience);
        try
        {
            // On another thread: what an embedded database does is not asynchronous.
            await Task.Run(() => Ask(late.Token), late.Token).WaitAsync(late.Token);
            return HealthCheckResult.Healthy($"{storage.Value.Database} answers.");
        }
        catch (Exception failure) when (!cancellationToken.IsCancellationRequested)
        {
            string why = failure is OperationCanceledException
                ? $"no answer within {Patience.TotalMilliseconds:0} ms"
                : StorageProblems.Innermost(failure).Message;
            return HealthCheckResult.Degraded($"{storage.Value.Database}: {why}.");
        }
    }

    private async Task Ask(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        await db.Database.ExecuteSqlRawAsync("SELECT 1", cancellation);
    }
}

/// <summary>Whether the data folder has room.</summary>
internal sealed class DiskCheck(IOptions<StorageOptions> storage) : IHealthCheck
{
    private const long Least = 1L << 30;        // a data set, or some checkpoints

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        long free = new DriveInfo(Path.GetFullPath(storage.Value.Folder)).AvailableFreeSpace;
        string text = string.Create(CultureInfo.InvariantCulture, $"{free / 1e9:0.0} GB free.");
        return Task.FromResult(free < Least ? HealthCheckResult.Degraded(text) : HealthCheckResult.Healthy(text));
    }
}

/// <summary>Which server works in the data folder. One that waits is as well as the other.</summary>
internal sealed class JobsCheck(DataFolder folder) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(HealthCheckResult.Healthy(folder.Held
            ? "This server runs the jobs of its data folder."
            : "Another server runs the jobs of the data folder; this one waits."));
}
