using System.Globalization;
using System.Text.Json;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.CaptionJobs;

/// <summary>How far a job is, as server-sent events, from the database: any server that has it can serve them. A listener needs only the
/// latest, so none is kept.</summary>
internal static class CaptionJobEvents
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);            // for what other servers stored
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);        // then a comment, so that proxies keep the connection

    /// <summary>Writes the job whenever it has changed, until it has ended or nobody listens.</summary>
    public static async Task<Results<EmptyHttpResult, NoContent>> Get(HttpContext http, string id, CaptionDb first,
        IDbContextFactory<CaptionDb> databases, CaptionJobSignals signals, TimeProvider time, IHostApplicationLifetime lifetime,
        CancellationToken aborted)
    {
        CaptionJob? job = await CaptionJobsApi.Find(first, id, aborted);
        long told = -1;
        if (http.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } text
            && (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out told) || told < 0))
            throw new ProblemException(ProblemTable.InvalidOption, "Last-Event-ID must be the number of an event.");
        if (job.Ended && told == job.Revision)
            return TypedResults.NoContent();        // tells a browser to stop asking
        HttpResponse response = http.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no";       // nginx passes each event on at once
        using var until = CancellationTokenSource.CreateLinkedTokenSource(aborted, lifetime.ApplicationStopping);
        long spoke = time.GetTimestamp();
        try
        {
            while (true)
            {
                Task changed = signals.Changed;
                await using (CaptionDb db = await databases.CreateDbContextAsync(until.Token))
                {
                    job = await db.CaptionJobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, until.Token);
                }
                string? say = job is null || job.Revision == told ? null
                    : $"id: {job.Revision}\nevent: job\ndata: {JsonSerializer.Serialize(CaptionJobResponse.Of(job), Json.Answers)}\n\n";
                if (say is null && time.GetElapsedTime(spoke) >= Silence)
                    say = ":\n\n";
                if (say is not null)
                {
                    await response.WriteAsync(say, until.Token);
                    await response.Body.FlushAsync(until.Token);
                    spoke = time.GetTimestamp();
                }
                if (job is null or { Ended: true })
                    return TypedResults.Empty;
                told = job.Revision;
                await Task.WhenAny(changed, Task.Delay(Look, time, until.Token));
                until.Token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
            return TypedResults.Empty;      // the listener left, or the server does
        }
    }
}
