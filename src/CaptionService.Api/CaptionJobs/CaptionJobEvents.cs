using System.Text.Json;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.CaptionJobs;

/// <summary>How far a job is, as server-sent events, from the database: any server that has it can serve them. A listener needs only the
/// latest, so none is kept.</summary>
internal static class CaptionJobEvents
{
    /// <summary>Writes the job whenever it has changed, until it has ended or nobody listens.</summary>
    public static async Task<Results<EmptyHttpResult, NoContent>> Get(HttpContext http, string id, CaptionDb first,
        IDbContextFactory<CaptionDb> databases, CaptionJobSignals signals, TimeProvider time, CancellationToken aborted)
    {
        CaptionJob? job = await CaptionJobsApi.Find(first, id, aborted);
        long? told = ServerSentEvents.LastOf(http.Request);
        if (job.Ended && told == job.Revision)
            return TypedResults.NoContent();        // tells a browser to stop asking
        await ServerSentEvents.Write(http, time, async (stream, until) =>
        {
            while (true)
            {
                Task changed = signals.Changed;
                await using (CaptionDb db = await databases.CreateDbContextAsync(until))
                {
                    job = await db.CaptionJobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, until);
                }
                await stream.Send(job is null || job.Revision == told ? ""
                    : ServerSentEvents.Event("job", JsonSerializer.Serialize(CaptionJobResponse.Of(job), Json.Answers), job.Revision));
                if (job is null or { Ended: true })
                    return;
                told = job.Revision;
                await stream.Wait(changed);
            }
        });
        return TypedResults.Empty;
    }
}
