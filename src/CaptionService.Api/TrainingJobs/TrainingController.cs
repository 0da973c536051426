using CaptionService.Api.Datasets;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.TrainingJobs;

/// <summary>
/// Works off the queue of jobs: claims one and has an attempt made (<see cref="TrainingAttempt"/>). The queue is the
/// database, so this server may die at any line.
/// </summary>
public sealed partial class TrainingController(IDbContextFactory<CaptionDb> databases, DataFolder folder, TrainingSignals signals, TrainingModels models, IHostApplicationLifetime lifetime,
    IOptions<StorageOptions> storage, IOptions<TrainingSettings> settings, TimeProvider time, ILogger<TrainingController> logger) : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);        // for what other servers did
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(5);

    private readonly string _owner = $"{Environment.MachineName}:{storage.Value.Jobs}";

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // From the first sign of a shutdown: trainers save while the last captions are answered.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping);
        CancellationToken stopping = stop.Token;
        var running = new Dictionary<string, Task>();
        try
        {
            await folder.Hold(time, stopping);      // so jobs of this owner have lost their server
            while (true)
            {
                Task changed = signals.Changed;
                foreach (string ended in running.Where(r => r.Value.IsCompleted).Select(r => r.Key).ToArray())
                {
                    running.Remove(ended);
                }
                try
                {
                    await LookAtDatasets(stopping);
                    while (running.Count < settings.Value.Jobs && await Claim(running.Keys, stopping) is var (id, number))
                    {
                        running[id] = new TrainingAttempt(id, number, _owner, databases, signals, models, storage.Value, settings.Value, time, logger).Run(stopping);
                    }
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    Log.CannotLook(logger, failure);
                    await Task.Delay(AfterFailure, time, stopping);
                }
                await Task.WhenAny([changed, Task.Delay(Look, time, stopping), .. running.Values]);
                stopping.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            await Task.WhenAll(running.Values);
        }
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
                ready &= dataset?.Status == "ready";
                unfit ??= dataset is null ? $"The data set '{used.Id}' is gone."
                    : dataset.Status is not ("ready" or "checking") ? $"The data set '{used.Id}' was refused: {dataset.Problem}"
                    : null;
            }
            if (unfit is not null)
            {
                job.Fail(unfit, time.GetUtcNow());
            }
            else if (ready)
            {
                job.Queue(time.GetUtcNow());
            }
        }
        await HeldJob.Save(db, stopping);
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
        {
            return null;
        }
        job.Claim(_owner, now + settings.Value.Lease, now);
        return await HeldJob.Save(db, stopping) ? (job.Id, job.Attempt) : null;
    }

    private static partial class Log
    {
        [LoggerMessage(7, LogLevel.Error, "The queue of training jobs cannot be read")]
        public static partial void CannotLook(ILogger logger, Exception failure);
    }
}
