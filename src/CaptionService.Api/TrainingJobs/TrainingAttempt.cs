using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Captioning.Jobs;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>
/// One attempt of a job that was claimed: writes its folder, starts its trainer, stores its events, and ends it as the
/// trainer ended. All there is to go on from is the folder and the database, so this server may die at any line.
/// </summary>
internal sealed partial class TrainingAttempt(string id, int number, string owner, IDbContextFactory<CaptionDb> databases, TrainingSignals signals, TrainingModels models,
    TrainingMetrics metrics, TrainerRunner trainers, StorageOptions storage, TrainingSettings settings, TrainerOptions options, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(5);

    private readonly HeldJob _job = new(id, number, owner, databases, signals, settings.Lease, time, logger);
    private readonly string _folder = Path.Combine(storage.Jobs, id), _log = Path.Combine(storage.Jobs, id, "log.txt");

    /// <summary>Makes it; whatever fails is the job's failure.</summary>
    /// <param name="stopping">Has the trainer save and stop.</param>
    public async Task Run(CancellationToken stopping)
    {
        try
        {
            await Write(stopping);
            if (await Train(stopping) is { } end)
                await End(end, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Before the trainer, or while its model was published: the next start does it again.
        }
        catch (Exception failure)
        {
            // Nothing is lost: the job is still this server's and is claimed again.
            Log.RunFailed(logger, id, failure);
            await CrashIfPossible(failure, stopping);
            await Task.WhenAny(Task.Delay(AfterFailure, time, stopping));
        }
        finally
        {
            signals.Raise();
        }
    }

    // Everything the trainer needs.
    private async Task Write(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        TrainingJob job = await db.TrainingJobs.AsNoTracking().SingleAsync(j => j.Id == id, stopping);
        Dataset? dataset = await db.Datasets.FindAsync([job.DatasetId], stopping);
        JobFolder.Write(_folder, new JobFile
        {
            Name = job.Name,
            Language = dataset?.Language ?? "en",
            Data = [.. job.AllDatasets().Select(d => Source(job, d))],
            Options = JsonSerializer.Deserialize<TrainingOptions>(job.Options, JobFile.Json)!,
            Features = storage.Features,
            BaseModel = job.BaseModel is { } model ? await models.Folder(model, stopping) : null,
            BudgetMinutes = job.BudgetMinutes,
            Attempt = number,
        });
    }

    private DataSource Source(TrainingJob job, JobDataset dataset)
    {
        DataSource paths = DatasetFolder.Paths(Path.Combine(storage.Datasets, dataset.Id));
        // One plain data set has no name, as before there could be several: the trainer knows its checkpoints again.
        return job.Datasets is null ? paths : paths with
        {
            Name = dataset.Id,
            Weight = dataset.Weight,
            Trust = dataset.Trust,
            Dev = dataset.Judges ? paths.Dev : null,
        };
    }

    /// <summary>Runs the trainer and stores its events.</summary>
    /// <returns>How it ended; null when this attempt was given up.</returns>
    private async Task<TrainerEnd?> Train(CancellationToken stopping)
    {
        var events = new EventFile(Path.Combine(_folder, "events.jsonl"));
        Log.Started(logger, id, number);
        TrainerEnd end = await metrics.Measure(() => trainers.Run(new TrainerRun(["train", _folder], _log, options.StopGrace) { Look = Look, Changes = signals }, stopping), time);
        // Its last events are stored before its end is, however long the database is away.
        (JobState? State, bool Stored) last;
        do
        {
            last = await _job.Follow(events);
        }
        while (last is { State: not null, Stored: false } && !stopping.IsCancellationRequested);
        if (last.State is null)
            Log.Lost(logger, id, number);
        return last.State is null ? null : end;

        async Task<TrainerWish> Look() => (await _job.Follow(events)).State switch
        {
            null => TrainerWish.Abandon,        // another server has it: the fence keeps this trainer from writing
            JobState.Cancelling => TrainerWish.Stop,
            _ => TrainerWish.GoOn,
        };
    }

    private async Task End(TrainerEnd end, CancellationToken stopping)
    {
        Log.Ended(logger, id, number, end.Code);
        TrainerOutcome outcome = end.Outcome;
        (string Name, int Version, string? Decision)? published = null;
        if (outcome == TrainerOutcome.Succeeded)
        {
            published = await Publish(stopping);
            outcome = published is null ? TrainerOutcome.Stopped : outcome;
        }
        int crashes = 0;
        await _job.Change(job =>
        {
            DateTimeOffset now = time.GetUtcNow();
            switch (outcome)
            {
                case TrainerOutcome.Succeeded:
                    job.Succeed(published!.Value.Name, published.Value.Version, published.Value.Decision, now);
                    break;
                case TrainerOutcome.Stopped:
                    job.Stopped(now);
                    break;
                case TrainerOutcome.Failed:
                    job.Fail(job.Error ?? string.Join('\n', end.LastLines), now);
                    break;
                case TrainerOutcome.DiskFull:
                    job.OutOfRoom(now);
                    break;
                default:
                    job.Crashed(end.Message(20), settings.MaxCrashes, now);
                    crashes = job.CrashesWithoutProgress;
                    break;
            }
        }, stopping);
        if (crashes > 0)
        {
            await Task.WhenAny(Task.Delay(TimeSpan.FromSeconds(crashes), time, stopping));      // what was wrong may pass
        }
    }

    /// <summary>Registers the model and has it compared. That takes its time: the lease is renewed meanwhile, and a cancel ends it.</summary>
    /// <returns>null where the job was cancelled, or given to another server, before there was a decision.</returns>
    private async Task<(string Name, int Version, string? Decision)?> Publish(CancellationToken stopping)
    {
        using var given = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        TrainingJob published = await _job.Get(stopping);
        Task<(string, int, string?)> publishing = models.Publish(published, Path.Combine(_folder, "model"), given.Token);
        try
        {
            while (!publishing.IsCompleted)
            {
                Task changed = signals.Changed;
                JobState? state = null;
                await _job.Change(job =>
                {
                    state = job.State;
                    DateTimeOffset now = time.GetUtcNow();
                    if (!job.IsPublishing || job.LeaseUntil - now < settings.Lease * 2 / 3)
                        job.Publish(now + settings.Lease);
                }, stopping);
                if (state != JobState.Running)
                {
                    await given.CancelAsync();
                    break;
                }
                await Task.WhenAny(publishing, changed, Task.Delay(settings.Lease / 3, time, CancellationToken.None));
            }
            return await publishing;
        }
        catch (OperationCanceledException) when (given.IsCancellationRequested && !stopping.IsCancellationRequested)
        {
            return null;
        }
        finally
        {
            await given.CancelAsync();      // a failure here must not leave it working
            await Task.WhenAny(publishing);
        }
    }

    private async Task CrashIfPossible(Exception failure, CancellationToken stopping)
    {
        try
        {
            await _job.Change(job =>
            {
                switch (StorageProblems.Of(failure))
                {
                    case { } full when full == ProblemTable.StorageFull:
                        job.OutOfRoom(time.GetUtcNow());
                        break;
                    case null when failure is ProblemException:
                        job.Fail(failure.Message, time.GetUtcNow());
                        break;
                    case { } outage:
                        job.Crashed(outage.Title, settings.MaxCrashes, time.GetUtcNow());
                        break;
                    default:
                        job.Crashed(failure.Message, settings.MaxCrashes, time.GetUtcNow());
                        break;
                }
            }, stopping);
        }
        catch (Exception again)
        {
            Log.RunFailed(logger, id, again);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Job {Id}: attempt {Attempt} starts")]
        public static partial void Started(ILogger logger, string id, int attempt);

        [LoggerMessage(2, LogLevel.Information, "Job {Id}, attempt {Attempt}: the trainer ended with {Code}")]
        public static partial void Ended(ILogger logger, string id, int attempt, int code);

        [LoggerMessage(3, LogLevel.Warning, "Job {Id}, attempt {Attempt}, was given to another server")]
        public static partial void Lost(ILogger logger, string id, int attempt);

        [LoggerMessage(5, LogLevel.Error, "Job {Id} could not be run")]
        public static partial void RunFailed(ILogger logger, string id, Exception failure);
    }
}
