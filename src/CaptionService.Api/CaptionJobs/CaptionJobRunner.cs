using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.CaptionJobs;

/// <summary>Raised when caption jobs change: what works on them and who watches them look again.</summary>
public sealed class CaptionJobSignals : Signal;

/// <summary>
/// Works on one caption job after the other, the oldest first, where this server has the data folder to itself
/// (<see cref="DataFolder"/>): that is the lease of a job, and the death of its server ends it.
/// </summary>
internal sealed class CaptionJobRunner(
    IDbContextFactory<CaptionDb> databases, CaptionJobSignals signals, CaptionQueue queue, ModelRegistry models, PhotoDecoder decoder,
    IOptions<StorageOptions> storage, IOptions<CaptionJobsOptions> options, IOptions<CaptioningOptions> captioning, TimeProvider time,
    ILogger<CaptionJobRunner> logger) : ITrainerWork
{
    /// <inheritdoc />
    public int AtOnce => 1;

    /// <inheritdoc />
    public Signal Added => signals;

    /// <summary>Removes jobs whose photos were still coming when their server died; the others go on where their results end.</summary>
    public async Task Recover(CancellationToken stopping)
    {
        await models.Opened.WaitAsync(stopping);
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        foreach (string id in await db.CaptionJobs.Where(job => job.State == JobState.Validating).Select(job => job.Id)
            .ToListAsync(stopping))
        {
            WholeFolder.Remove(Path.Combine(storage.Value.CaptionJobs, id));
            await db.CaptionJobs.Where(job => job.Id == id).ExecuteDeleteAsync(stopping);
        }
    }

    /// <inheritdoc />
    public async Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        string? id = await db.CaptionJobs
            .Where(job => !running.Contains(job.Id)
                && (job.State == JobState.Queued || job.State == JobState.Running || job.State == JobState.Cancelling))
            .OrderBy(job => job.CreatedAt).ThenBy(job => job.Id).Select(job => job.Id).FirstOrDefaultAsync(stopping);
        return id is null ? null
            : new QueuedRun(id, new CaptionJobRun(id, databases, signals, queue, models, decoder, storage.Value, options.Value,
                captioning.Value.AltMinConfidence, time, logger).Run);
    }
}
