using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.TrainingJobs;

/// <summary>
/// The queue of jobs: claims one and has an attempt made (<see cref="TrainingAttempt"/>). The queue is the database, so this
/// server may die at any line.
/// </summary>
internal sealed class TrainingController(IDbContextFactory<CaptionDb> databases, TrainingSignals signals, TrainingModels models, TrainingMetrics metrics, TrainerRunner trainers,
    IOptions<StorageOptions> storage, IOptions<TrainingSettings> settings, IOptions<TrainerOptions> options, TimeProvider time, ILogger<TrainingController> logger) : ITrainerWork
{
    private readonly string _owner = $"{Environment.MachineName}:{storage.Value.Jobs}";

    /// <inheritdoc />
    public int AtOnce => settings.Value.Jobs;

    /// <inheritdoc />
    public Signal Added => signals;

    /// <summary>Nothing to do: jobs of this owner have lost their server, so a claim takes them over.</summary>
    public Task Recover(CancellationToken stopping) => Task.CompletedTask;

    /// <summary>Looks what has become of the data sets that jobs wait for, then claims the oldest job.</summary>
    public async Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping)
    {
        await LookAtDatasets(stopping);
        return await Claim(running, stopping) is var (id, number)
            ? new QueuedRun(id, new TrainingAttempt(id, number, _owner, databases, signals, models, metrics, trainers, storage.Value, settings.Value, options.Value, time, logger).Run)
            : null;
    }

    private async Task LookAtDatasets(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        foreach (TrainingJob job in await db.TrainingJobs.Where(j => j.State == JobState.Validating).ToListAsync(stopping))
        {
            bool ready = true;
            string? unfit = null;
            foreach (JobDataset used in job.AllDatasets())
            {
                Dataset? dataset = await db.Datasets.FindAsync([used.Id], stopping);
                ready &= dataset?.Status == DatasetStatus.Ready;
                unfit ??= dataset is null ? $"The data set '{used.Id}' is gone."
                    : dataset.Status == DatasetStatus.Refused ? $"The data set '{used.Id}' was refused: {dataset.Problem}"
                    : null;
            }
            if (unfit is not null)
                job.Fail(unfit, time.GetUtcNow());
            else if (ready)
                job.Queue(time.GetUtcNow());
        }
        await db.TrySave(stopping);
    }

    private async Task<(string Id, int Attempt)?> Claim(IReadOnlyCollection<string> mine, CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        DateTimeOffset now = time.GetUtcNow();
        TrainingJob? job = await db.TrainingJobs
            .Where(j => !mine.Contains(j.Id) && (j.State == JobState.Queued
                || ((j.State == JobState.Running || j.State == JobState.Cancelling) && (j.LeaseOwner == _owner || j.LeaseUntil == null || j.LeaseUntil < now))))
            .OrderBy(j => j.CreatedAt).ThenBy(j => j.Id).FirstOrDefaultAsync(stopping);
        if (job is null)
            return null;
        job.Claim(_owner, now + settings.Value.Lease, now);
        return await db.TrySave(stopping) ? (job.Id, job.Attempt) : null;
    }
}
