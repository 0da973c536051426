using System.Text;
using System.Text.Json;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>A job's events as server-sent events, from the database: any server that has it can serve them, and none is missed or sent twice.</summary>
internal sealed class EventStream(HttpResponse response, IDbContextFactory<CaptionDb> databases, TrainingSignals signals, TimeProvider time)
{
    private const int Page = 200;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);            // for what other servers stored
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);        // then a comment, so that proxies keep the connection

    /// <summary>Writes until the job has ended or nobody listens.</summary>
    public async Task Write(string id, long after, CancellationToken until)
    {
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no";       // nginx passes each event on at once
        JobState? told = null;
        long spoke = time.GetTimestamp();
        try
        {
            while (true)
            {
                Task changed = signals.Changed;
                TrainingJob? job;
                List<TrainingJobEvent> events;
                await using (CaptionDb db = await databases.CreateDbContextAsync(until))
                {
                    job = await db.TrainingJobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, until);
                    events = await db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && e.Number > after).OrderBy(e => e.Number).Take(Page).ToListAsync(until);
                }
                if (job is null)
                    return;
                var text = new StringBuilder();
                foreach (TrainingJobEvent e in events)
                {
                    text.Append($"id: {e.Number}\nevent: {e.Type}\ndata: {JsonSerializer.Serialize(TrainingEventResponse.Of(e), Json.Answers)}\n\n");
                    after = e.Number;
                }
                bool all = events.Count < Page && after >= job.LastEvent;
                if (all && told != job.State)
                {
                    told = job.State;
                    text.Append($"event: job\ndata: {JsonSerializer.Serialize(TrainingJobResponse.Of(job), Json.Answers)}\n\n");
                }
                if (text.Length == 0 && time.GetElapsedTime(spoke) >= Silence)
                    text.Append(":\n\n");
                if (text.Length > 0)
                {
                    await response.WriteAsync(text.ToString(), until);
                    await response.Body.FlushAsync(until);
                    spoke = time.GetTimestamp();
                }
                if (all && job.Ended)
                    return;
                if (events.Count == 0)
                {
                    await Task.WhenAny(changed, Task.Delay(Look, time, until));
                    until.ThrowIfCancellationRequested();
                }
            }
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
            // The listener left, or the server does: with Last-Event-ID the rest is had later.
        }
    }
}
