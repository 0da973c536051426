using System.Text.Json;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Training;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using JobFile = CaptionService.Captioning.Training.TrainingJob;

namespace CaptionService.Api.TrainingJobs;

/// <summary>
/// Works off the queue of jobs: claims one, writes its folder, starts its trainer, stores its events, and ends it as the
/// trainer ended. The queue is the database and the state of a run is its folder, so this server may die at any line.
/// </summary>
public sealed partial class TrainingController(IDbContextFactory<CaptionDb> databases, TrainingSignals signals, TrainingModels models, IHostApplicationLifetime lifetime,
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
            using FileStream alone = await Alone(stopping);
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
                    while (running.Count < settings.Value.Jobs && await Claim(running.Keys, stopping) is var (id, attempt))
                    {
                        running[id] = Run(id, attempt, stopping);
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

    // One controller a folder. That no other holds the lock tells that jobs of this owner have lost their server.
    private async Task<FileStream> Alone(CancellationToken stopping)
    {
        for (bool said = false; ; said = true)
        {
            try
            {
                return new FileStream(Path.Combine(storage.Value.Jobs, "controller.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (!stopping.IsCancellationRequested)
            {
                if (!said)
                {
                    Log.NotAlone(logger, storage.Value.Jobs);
                }
                await Task.Delay(Look, time, stopping);
            }
        }
    }

    private async Task LookAtDatasets(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        foreach (TrainingJob job in await db.TrainingJobs.Where(j => j.State == JobState.Validating).ToListAsync(stopping))
        {
            Dataset? dataset = await db.Datasets.FindAsync([job.DatasetId], stopping);
            if (dataset?.Status == "ready")
            {
                job.Queue(time.GetUtcNow());
            }
            else if (dataset?.Status != "checking")
            {
                job.Fail(dataset is null ? "The data set is gone." : $"The data set was refused: {dataset.Problem}", time.GetUtcNow());
            }
        }
        await Save(db, stopping);
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
        return await Save(db, stopping) ? (job.Id, job.Attempt) : null;
    }

    private async Task Run(string id, int attempt, CancellationToken stopping)
    {
        try
        {
            string folder = Path.Combine(storage.Value.Jobs, id), log = Path.Combine(folder, "log.txt");
            await Write(id, attempt, folder, stopping);
            var events = new EventFile(Path.Combine(folder, "events.jsonl"));
            using TrainerProcess trainer = TrainerProcess.Start(["train", folder, "--attached"], log, settings.Value);
            Log.Started(logger, id, attempt, trainer.Id);
            Task<int> ended = trainer.Ended(CancellationToken.None);
            DateTimeOffset? askedAt = null;
            while (true)
            {
                Task changed = signals.Changed;
                await Task.WhenAny(ended, changed, Task.Delay(settings.Value.Follow, time, CancellationToken.None));
                bool last = ended.IsCompleted;
                JobState? state = await Follow(id, attempt, events);
                if (state is null)
                {
                    Log.Lost(logger, id, attempt);      // another server has it: the fence keeps this trainer from writing
                    trainer.Kill();
                    return;
                }
                if (last)
                {
                    break;
                }
                if (askedAt is null && (stopping.IsCancellationRequested || state == JobState.Cancelling))
                {
                    trainer.Stop();
                    askedAt = time.GetUtcNow();
                }
                if (time.GetUtcNow() - askedAt > settings.Value.StopGrace)
                {
                    Log.Killed(logger, id, settings.Value.StopGrace.TotalSeconds);
                    trainer.Kill();
                }
                if (!changed.IsCompleted)
                {
                    continue;
                }
                await Task.WhenAny(ended, Task.Delay(TimeSpan.FromMilliseconds(50), time, CancellationToken.None));     // many changes, few looks
            }
            await End(id, attempt, await ended, log, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Before the trainer, or while its model was published: the next start does it again.
        }
        catch (Exception failure)
        {
            // Nothing is lost: the job is still this server's and is claimed again.
            Log.RunFailed(logger, id, failure);
            await CrashIfPossible(id, attempt, failure);
            await Task.WhenAny(Task.Delay(AfterFailure, time, stopping));
        }
        finally
        {
            signals.Raise();
        }
    }

    // Everything the trainer needs, each file whole or not at all.
    private async Task Write(string id, int attempt, string folder, CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        TrainingJob job = await db.TrainingJobs.AsNoTracking().SingleAsync(j => j.Id == id, stopping);
        Dataset? dataset = await db.Datasets.FindAsync([job.DatasetId], stopping);
        string data = Path.Combine(storage.Value.Datasets, job.DatasetId);
        Directory.CreateDirectory(folder);
        await WriteWhole(Path.Combine(folder, "attempt"), [.. System.Text.Encoding.ASCII.GetBytes($"{attempt}")]);
        await WriteWhole(Path.Combine(folder, "job.json"), JsonSerializer.SerializeToUtf8Bytes(new JobFile
        {
            Name = job.Name,
            Language = dataset?.Language ?? "en",
            Data = DatasetFolder.Paths(data),
            Options = JsonSerializer.Deserialize<TrainingOptions>(job.Options, JobFile.Json)!,
            Features = storage.Value.Features,
            BaseModel = job.BaseModel is { } model ? await models.Folder(model, stopping) : null,
            BudgetMinutes = job.BudgetMinutes,
            Attempt = attempt,
        }, JobFile.Json));
        // The result of a failed attempt must not stand in the way of this one's.
        File.Delete(Path.Combine(folder, "result.json"));
    }

    private static async Task WriteWhole(string path, byte[] bytes)
    {
        await File.WriteAllBytesAsync(path + ".tmp", bytes);
        File.Move(path + ".tmp", path, overwrite: true);
    }

    /// <summary>Stores what is new, with the lease renewed, in one transaction.</summary>
    /// <returns>Where the job is; null when this attempt was given up.</returns>
    private async Task<JobState?> Follow(string id, int attempt, EventFile file)
    {
        JobState? state = JobState.Running;
        bool more = true;
        while (more)
        {
            try
            {
                await using CaptionDb db = await databases.CreateDbContextAsync();
                TrainingJob? job = await db.TrainingJobs.FindAsync(id);
                if (job is null || !job.IsHeld(_owner, attempt))
                {
                    return null;
                }
                state = job.State;
                (IReadOnlyList<TrainingEvent> events, Action stored) = await file.Read(job.LastEvent, CancellationToken.None);
                more = events.Count > 0;
                DateTimeOffset now = time.GetUtcNow();
                if (!more && job.LeaseUntil - now > settings.Value.Lease / 2)
                {
                    return state;
                }
                foreach (TrainingEvent e in events)
                {
                    db.TrainingJobEvents.Add(new TrainingJobEvent { JobId = id, Number = e.Id, Time = e.Time, Type = e.Type, Data = e.Data.GetRawText() });
                    job.Report(e);
                }
                job.Renew(now + settings.Value.Lease);
                if (await Save(db, CancellationToken.None))
                {
                    stored();
                    signals.Raise();
                }
            }
            catch (Exception failure) when (StorageApi.Problem(failure) is not null)
            {
                Log.CannotStore(logger, id, failure);       // they stay in the file
                await Task.Delay(TimeSpan.FromSeconds(1), time, CancellationToken.None);
                return state;
            }
        }
        return state;
    }

    private async Task End(string id, int attempt, int code, string log, CancellationToken stopping)
    {
        Log.Ended(logger, id, attempt, code);
        string said = string.Join('\n', await TrainerProcess.LastLines(log, 20, CancellationToken.None));
        (string Name, int Version, string? Decision)? published = code == TrainerExit.Succeeded ? await Publish(id, attempt, stopping) : null;
        int crashes = 0;
        await Change(id, attempt, job =>
        {
            DateTimeOffset now = time.GetUtcNow();
            switch (code)
            {
                case TrainerExit.Succeeded:
                    job.Succeed(published!.Value.Name, published.Value.Version, published.Value.Decision, now);
                    break;
                case TrainerExit.Stopped:
                    job.Stopped(now);
                    break;
                case TrainerExit.BadJob or TrainerExit.BadData or TrainerExit.Collapsed or TrainerExit.Failed:
                    job.Fail(job.Error ?? said, now);
                    break;
                case TrainerExit.DiskFull:
                    job.Crashed("The disk is full: make room and resume the job.", settings.Value.MaxCrashes, now);
                    crashes = job.CrashesWithoutProgress;
                    break;
                default:
                    job.Crashed($"The trainer ended with {code}. Its last lines:\n{said}", settings.Value.MaxCrashes, now);
                    crashes = job.CrashesWithoutProgress;
                    break;
            }
        });
        if (crashes > 0)
        {
            await Task.WhenAny(Task.Delay(TimeSpan.FromSeconds(crashes), time, stopping));      // what was wrong may pass
        }
    }

    // Comparing with the model in service takes its time: the lease is renewed meanwhile.
    private async Task<(string Name, int Version, string? Decision)> Publish(string id, int attempt, CancellationToken stopping)
    {
        Task<(string, int, string?)> publishing = models.Publish(await Get(id), Path.Combine(storage.Value.Jobs, id, "model"), stopping);
        while (!publishing.IsCompleted)
        {
            await Change(id, attempt, job => job.Publish(time.GetUtcNow() + settings.Value.Lease));
            signals.Raise();
            await Task.WhenAny(publishing, Task.Delay(settings.Value.Lease / 3, time, CancellationToken.None));
        }
        return await publishing;
    }

    private async Task CrashIfPossible(string id, int attempt, Exception failure)
    {
        try
        {
            await Change(id, attempt, job =>
            {
                if (failure is ProblemException problem && StorageApi.Problem(failure) is null)
                {
                    job.Fail(problem.Message, time.GetUtcNow());
                }
                else
                {
                    job.Crashed(StorageApi.Problem(failure)?.Title ?? failure.Message, settings.Value.MaxCrashes, time.GetUtcNow());
                }
            });
        }
        catch (Exception again)
        {
            Log.CannotStore(logger, id, again);
        }
    }

    private async Task<TrainingJob> Get(string id)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync();
        return await db.TrainingJobs.AsNoTracking().SingleAsync(j => j.Id == id);
    }

    // Again where another change came between; not where the attempt was given up.
    private async Task Change(string id, int attempt, Action<TrainingJob> change)
    {
        while (true)
        {
            await using CaptionDb db = await databases.CreateDbContextAsync();
            TrainingJob? job = await db.TrainingJobs.FindAsync(id);
            if (job is null || !job.IsHeld(_owner, attempt))
            {
                return;
            }
            change(job);
            if (await Save(db, CancellationToken.None))
            {
                return;
            }
        }
    }

    /// <returns>false: somebody else changed the same job in between.</returns>
    private static async Task<bool> Save(CaptionDb db, CancellationToken cancellation)
    {
        try
        {
            await db.SaveChangesAsync(cancellation);
            return true;
        }
        catch (DbUpdateConcurrencyException)
        {
            return false;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Job {Id}, attempt {Attempt}: trainer {Process} started")]
        public static partial void Started(ILogger logger, string id, int attempt, int process);

        [LoggerMessage(2, LogLevel.Information, "Job {Id}, attempt {Attempt}: the trainer ended with {Code}")]
        public static partial void Ended(ILogger logger, string id, int attempt, int code);

        [LoggerMessage(3, LogLevel.Warning, "Job {Id}, attempt {Attempt}, was given to another server")]
        public static partial void Lost(ILogger logger, string id, int attempt);

        [LoggerMessage(4, LogLevel.Warning, "Job {Id}: the trainer did not stop within {Seconds} s and is killed")]
        public static partial void Killed(ILogger logger, string id, double seconds);

        [LoggerMessage(5, LogLevel.Error, "Job {Id} could not be run")]
        public static partial void RunFailed(ILogger logger, string id, Exception failure);

        [LoggerMessage(6, LogLevel.Warning, "The events of job {Id} cannot be stored now; they stay in its folder")]
        public static partial void CannotStore(ILogger logger, string id, Exception failure);

        [LoggerMessage(7, LogLevel.Error, "The queue of training jobs cannot be read")]
        public static partial void CannotLook(ILogger logger, Exception failure);

        [LoggerMessage(8, LogLevel.Information, "Another server runs the jobs in {Folder}; this one waits")]
        public static partial void NotAlone(ILogger logger, string folder);
    }
}
