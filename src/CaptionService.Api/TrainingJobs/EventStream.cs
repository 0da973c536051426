using System.Text;
using System.Text.Json;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>A job's events as server-sent events, from the database: any server that has it can serve them, and none is missed or sent twice.</summary>
internal sealed class EventStream(IDbContextFactory<CaptionDb> databases, TrainingSignals signals)
{
    private const int Page = 200;

    /// <summary>Writes until the job has ended or nobody listens.</summary>
    public async Task Write(string id, long after, ServerSentEvents stream, CancellationToken until)
    {
        JobState? told = null;
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
                text.Append(ServerSentEvents.Event(e.Type, JsonSerializer.Serialize(TrainingEventResponse.Of(e), Json.Answers), e.Number));
                after = e.Number;
            }
            bool all = events.Count < Page && after >= job.LastEvent;
            if (all && told != job.State)
            {
                told = job.State;
                text.Append(ServerSentEvents.Event("job", JsonSerializer.Serialize(TrainingJobResponse.Of(job), Json.Answers)));
            }
            await stream.Send(text.ToString());
            if (all && job.Ended)
                return;
            if (events.Count == 0)
                await stream.Wait(changed);
        }
    }
}
