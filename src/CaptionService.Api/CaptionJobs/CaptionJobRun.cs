using System.Text.Json;
using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.CaptionJobs;

/// <summary>
/// Work on one job, from the photo after its last result to the end. While a batch is captioned, the next is read and waits
/// behind it. This server may die at any line: what counts is in <see cref="ResultsFile"/>.
/// </summary>
internal sealed partial class CaptionJobRun(string id, IDbContextFactory<CaptionDb> databases, CaptionJobSignals signals,
    CaptionQueue queue, ModelRegistry models, PhotoDecoder decoder,
    StorageOptions storage, CaptionJobsOptions options, double altMinConfidence, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1), AfterOutage = TimeSpan.FromSeconds(1);

    private int _done, _problems;
    private double? _rate;

    /// <summary>Does it; whatever fails is the job's failure.</summary>
    /// <param name="stopping">The server stops: the job goes on at its next start.</param>
    public async Task Run(CancellationToken stopping)
    {
        if (await Change(job => job.Run(time.GetUtcNow()), stopping) is not { } job)
            return;
        signals.Raise();
        string? failed = null;
        bool all = false;
        try
        {
            all = await Caption(job, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            failed = failure is ProblemException ? failure.Message
                : StorageProblems.Of(failure) == ProblemTable.StorageFull
                    ? "The disk is full. Make room and resume the job: it goes on where it was."
                : "The service failed; its log says why. Resumed, the job goes on where it was.";
            Log.RunFailed(logger, id, failure);
        }
        await Change(ended =>
        {
            ended.Report(_done, _problems, _rate);
            if (failed is not null)
                ended.Fail(failed, time.GetUtcNow());
            else if (all)
                ended.Succeed(time.GetUtcNow());
            else
                ended.Stopped(time.GetUtcNow());
        }, stopping);
        signals.Raise();
    }

    /// <returns>Whether all photos have their result; else the job was cancelled.</returns>
    private async Task<bool> Caption(CaptionJob job, CancellationToken stopping)
    {
        using ResultsFile results = await ResultsFile.Open(Path.Combine(storage.CaptionJobs, id), stopping);
        (_done, _problems) = (results.Count, results.Problems);
        RegisteredModel[] asked = [.. job.AllModels.Select(name => models.Find(name))];
        ModelReference[] made = [.. asked.Select(ModelReference.Of)];
        RequestedOptions wanted = RequestedOptions.Parse(JsonSerializer.Deserialize<Dictionary<string, string>>(job.Options)!);
        ModelHold[] holds = await models.Hold(asked, stopping);
        using var given = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        try
        {
            Task<PhotoResult[]>? before = null;
            int found = _done;
            long started = time.GetTimestamp(), looked = started;
            Task changed = signals.Changed;
            foreach (JobPhoto[] chunk in JobPhotos.Read(Path.Combine(storage.CaptionJobs, job.PhotosOf)).Skip(_done)
                .Chunk(options.BatchSize))
            {
                var photos = new List<UploadedPhoto>(chunk.Length);
                foreach (JobPhoto photo in chunk)
                    photos.Add(await JobPhotos.Open(photo, decoder, followLinks: job.Source != CaptionJobSources.Folder, stopping));
                Task<PhotoResult[]> next = Results(photos);
                await Keep(before);
                before = next;
                _rate = _done > found ? (_done - found) / time.GetElapsedTime(started).TotalSeconds : null;
                if (changed.IsCompleted || time.GetElapsedTime(looked) >= Look)
                {
                    if (await Report() is null or JobState.Cancelling)
                        return false;
                    (looked, changed) = (time.GetTimestamp(), signals.Changed);
                }
            }
            await Keep(before);
            return true;
        }
        finally
        {
            await given.CancelAsync();      // what still waits is nobody's
            Array.ForEach(holds, hold => hold.Dispose());
        }

        async Task Keep(Task<PhotoResult[]>? captioned)
        {
            if (captioned is not null)
                results.Append(await captioned);
            (_done, _problems) = (results.Count, results.Problems);
        }

        async Task<PhotoResult[]> Results(List<UploadedPhoto> photos)
        {
            var good = photos.Select(photo => photo.Photo).OfType<Captioning.Encoders.Photo>().ToArray();
            var answers = new Queue<Task<CaptionAnswer>>(good.Length == 0 ? []
                : queue.CaptionBehind(good, wanted.Search, [.. holds.Select(hold => hold.Model)], given.Token));
            var all = new List<PhotoResult>(photos.Count);
            foreach (UploadedPhoto photo in photos)
            {
                try
                {
                    all.Add(photo.Photo is { } decoded
                        ? PhotoResult.Captioned(photo.Name, decoded, await answers.Dequeue().WaitAsync(given.Token), made, wanted,
                            altMinConfidence)
                        : PhotoResult.Rejected(photo.Name, photo.Rejection!));
                }
                catch (ProblemException failed)
                {
                    all.Add(PhotoResult.Rejected(photo.Name, failed));
                }
            }
            return [.. all];
        }
    }

    /// <summary>Stores how far the job is.</summary>
    /// <returns>Its state; null where it is gone.</returns>
    private async Task<JobState?> Report()
    {
        try
        {
            JobState? state = null;
            await Change(job =>
            {
                state = job.State;
                job.Report(_done, _problems, _rate);
            }, retryAfterOutage: false, CancellationToken.None);
            signals.Raise();
            return state;
        }
        catch (Exception failure) when (StorageProblems.Of(failure) is not null)
        {
            Log.CannotStore(logger, id, failure);
            return JobState.Running;        // as far as is known
        }
    }

    private Task<CaptionJob?> Change(Action<CaptionJob> change, CancellationToken stopping) =>
        Change(change, retryAfterOutage: true, stopping);

    /// <summary>Changes the row: again where another change came between, and until the database is back.</summary>
    private async Task<CaptionJob?> Change(Action<CaptionJob> change, bool retryAfterOutage, CancellationToken stopping)
    {
        while (true)
        {
            try
            {
                await using CaptionDb db = await databases.CreateDbContextAsync(CancellationToken.None);
                if (await db.CaptionJobs.FindAsync([id], CancellationToken.None) is not { } job)
                    return null;
                change(job);
                if (await db.TrySave(CancellationToken.None))
                    return job;     // else somebody cancelled it at this moment: once more
            }
            catch (Exception failure) when (retryAfterOutage && StorageProblems.Of(failure) is not null
                && !stopping.IsCancellationRequested)
            {
                Log.CannotStore(logger, id, failure);
                await Task.WhenAny(Task.Delay(AfterOutage, time, stopping));
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "Caption job {Id} failed")]
        public static partial void RunFailed(ILogger logger, string id, Exception failure);

        [LoggerMessage(2, LogLevel.Warning, "How far caption job {Id} is cannot be stored now; its results are in its folder")]
        public static partial void CannotStore(ILogger logger, string id, Exception failure);
    }
}
