using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>A job's row, as long as an attempt of this server holds it: every change asks whether it still does.</summary>
internal sealed partial class HeldJob(string id, int number, string owner, IDbContextFactory<CaptionDb> databases, TrainingSignals signals, TimeSpan lease, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan AfterOutage = TimeSpan.FromSeconds(1);

    /// <summary>As it is now.</summary>
    public async Task<TrainingJob> Get(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        return await db.TrainingJobs.AsNoTracking().SingleAsync(j => j.Id == id, cancellation);
    }

    /// <summary>Stores what is new, with the lease renewed, in one transaction.</summary>
    /// <returns>Where the job is, null when this attempt was given up; and whether all could be stored.</returns>
    public async Task<(JobState? State, bool Stored)> Follow(EventFile file)
    {
        JobState? state = JobState.Running;
        bool more = true;
        while (more)
        {
            try
            {
                await using CaptionDb db = await databases.CreateDbContextAsync();
                TrainingJob? job = await db.TrainingJobs.FindAsync(id);
                if (job is null || !job.IsHeld(owner, number))
                    return (null, false);
                state = job.State;
                (IReadOnlyList<TrainingEvent> events, Action stored) = await file.Read(job.LastEvent, CancellationToken.None);
                more = events.Count > 0;
                DateTimeOffset now = time.GetUtcNow();
                if (!more && job.LeaseUntil - now > lease / 2)
                    return (state, true);
                foreach (TrainingEvent e in events)
                {
                    db.TrainingJobEvents.Add(new TrainingJobEvent { JobId = id, Number = e.Id, Time = e.Time, Type = e.Type, Data = e.Data.GetRawText() });
                    job.Report(e);
                }
                job.Renew(now + lease);
                if (await db.TrySave(CancellationToken.None))
                {
                    stored();
                    signals.Raise();
                }
            }
            catch (Exception failure) when (StorageProblems.Of(failure) is not null)
            {
                Log.CannotStore(logger, id, failure);       // they stay in the file
                await Task.Delay(AfterOutage, time, CancellationToken.None);
                return (state, false);
            }
        }
        return (state, true);
    }

    /// <summary>Changes it: again where another change came between, and until the database is back; not where the attempt was given up.</summary>
    /// <param name="change">May be called several times, each time with the job as it is.</param>
    /// <param name="stopping">A database that is away fails then.</param>
    public async Task Change(Action<TrainingJob> change, CancellationToken stopping)
    {
        while (true)
        {
            try
            {
                await using CaptionDb db = await databases.CreateDbContextAsync(CancellationToken.None);
                TrainingJob? job = await db.TrainingJobs.FindAsync([id], CancellationToken.None);
                if (job is null || !job.IsHeld(owner, number))
                    return;
                change(job);
                if (await db.TrySave(CancellationToken.None))
                    return;
            }
            catch (Exception failure) when (StorageProblems.Of(failure) is not null && !stopping.IsCancellationRequested)
            {
                Log.CannotStore(logger, id, failure);
                await Task.WhenAny(Task.Delay(AfterOutage, time, stopping));
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(6, LogLevel.Warning, "What job {Id} did cannot be stored now; its events stay in its folder")]
        public static partial void CannotStore(ILogger logger, string id, Exception failure);
    }
}
