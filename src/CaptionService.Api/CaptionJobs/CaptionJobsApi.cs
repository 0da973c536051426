using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.CaptionJobs;

/// <summary>Captions of many photos, in the background and behind what is asked for at once.</summary>
public static class CaptionJobsApi
{
    /// <summary>Registers what takes jobs in and works on them.</summary>
    public static IServiceCollection AddCaptionJobs(this IServiceCollection services)
    {
        services.AddOptions<CaptionJobsOptions>().BindConfiguration(CaptionJobsOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<CaptionJobSignals>();
        services.AddSingleton<CaptionJobUpload>();
        services.AddSingleton<NewCaptionJob>();
        return services.AddSingleton<ITrainerWork, CaptionJobRunner>();
    }

    /// <summary>Maps <c>/caption-jobs</c>.</summary>
    public static void MapCaptionJobs(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder jobs = routes.MapGroup("/caption-jobs").WithTags("Caption jobs").Needs(Scope.Train);
        jobs.MapPost("/", async Task<Accepted<CaptionJobResponse>> (HttpRequest request, NewCaptionJob jobs, CaptionDb db,
            CancellationToken aborted) => Accepted(await jobs.Create(request, db, aborted)))
            .WithName("PostCaptionJob").WithSummary("Captions many photos in the background")
            .WithDescription("The photos of an archive (zip, tar, tar.gz), of a data set, or of a folder of the server that the operator allows (`CaptionJobs:Folders`). Options as for `POST /captions`, in the query, form fields or JSON. "
                + "Photos are captioned behind those of `POST /captions`, in the order of their names, by the models that are active now. Each has one result; what is wrong with a photo is its result and stops nothing.")
            .Problems(400, 403, 404, 408, 413, 415, 422, 503, 507).Describe(CaptionJobsOperation.DescribePost);
        jobs.MapGet("/", List).WithName("GetCaptionJobs").WithSummary("Caption jobs, the newest first").Problems(400, 503)
            .Describe(Paging.List.Describe);
        jobs.MapGet("/{id}",
            async Task<Ok<CaptionJobResponse>> (string id, CaptionDb db, CancellationToken aborted) =>
                TypedResults.Ok(CaptionJobResponse.Of(await Find(db, id, aborted))))
            .WithName("GetCaptionJob").WithSummary("One job: its state, and how far it is").Problems(404, 503);
        jobs.MapGet("/{id}/results", CaptionJobResults.Get).WithName("GetCaptionJobResults")
            .WithSummary("The results so far: a page of JSON, or all of them as JSON lines or CSV")
            .WithDescription("In the order of the photos. `format=jsonl` and `format=csv`, or `Accept: application/x-ndjson` and `text/csv`, are streamed; without `limit` they have all results that are there. "
                + "CSV has a row for each caption, and one for a photo with a problem; a name that a spreadsheet would take for a formula has an apostrophe before it.")
            .Produces<CaptionJobResultsResponse>().Problems(400, 404, 503).Describe(CaptionJobResults.Page.Describe)
            .Describe(CaptionJobsOperation.DescribeResults);
        jobs.MapGet("/{id}/events", CaptionJobEvents.Get).WithName("GetCaptionJobEvents")
            .WithSummary("How far a job is, as a stream of server-sent events until it ends")
            .WithDescription("Each event is named `job` and carries the job; 204 to who has seen its end (`Last-Event-ID`).")
            .Produces<Stream>(200, ServerSentEvents.MediaType).Produces(204).Problems(400, 404, 503).Describe(CaptionJobsOperation.DescribeEvents);
        jobs.MapPost("/{id}/cancel", (string id, CaptionDb db, CaptionJobSignals signals, TimeProvider time, CancellationToken aborted) =>
            Change(db, id, job => job.Cancel(time.GetUtcNow()), signals, aborted))
            .WithName("CancelCaptionJob").WithSummary("Stops a job; its results stay, and it can be resumed").Problems(404, 409, 503);
        jobs.MapPost("/{id}/resume", (string id, CaptionDb db, CaptionJobSignals signals, CancellationToken aborted) =>
            Change(db, id, job => job.Resume(), signals, aborted))
            .WithName("ResumeCaptionJob").WithSummary("Goes on with a cancelled or failed job, with the photo after its last result")
            .Problems(404, 409, 503);
        jobs.MapPost("/{id}/compare",
            async Task<Accepted<CaptionJobResponse>> (string id, HttpRequest request, NewCaptionJob jobs, CaptionDb db,
                CancellationToken aborted) =>
            {
                CaptionComparisonRequest wanted = await JsonBody.Read<CaptionComparisonRequest>(request, aborted);
                return Accepted(await jobs.Compare(await Find(db, id, aborted), wanted.Model, db));
            })
            .Accepts<CaptionComparisonRequest>("application/json").WithName("CompareCaptionJob")
            .WithSummary("Captions a job's photos with another model, to see what would change")
            .WithDescription("A job of its own, over the same photos with the same options: GET /caption-jobs/{id}/changes of it has the captions that differ.").Problems(400, 404, 413, 415, 503, 507);
        jobs.MapGet("/{id}/changes", CaptionChanges.Get).WithName("GetCaptionJobChanges")
            .WithSummary("The captions that differ from those of the job that is compared with, old and new side by side, the worst changes first")
            .WithDescription("Of each photo the best caption in the new model's language. Worst is what lost most confidence: calibrated, it means the same for all models.")
            .Problems(400, 404, 409, 503).Describe(Paging.List.Describe);
        jobs.MapDelete("/{id}", Delete).WithName("DeleteCaptionJob")
            .WithSummary("Deletes a job that has ended, with its results and the photos that were sent with it").Problems(404, 409, 503);
    }

    private static async Task<Ok<CaptionJobsResponse>> List(CaptionDb db, string? offset, string? limit, CancellationToken aborted)
    {
        (int skip, int take) = Paging.List.Read(offset, limit);
        List<CaptionJob> page = await db.CaptionJobs.AsNoTracking().OrderByDescending(job => job.CreatedAt).ThenBy(job => job.Id).Skip(skip)
            .Take(take).ToListAsync(aborted);
        return TypedResults.Ok(
            new CaptionJobsResponse(await db.CaptionJobs.CountAsync(aborted), skip, [.. page.Select(CaptionJobResponse.Of)]));
    }

    private static async Task<Accepted<CaptionJobResponse>> Change(CaptionDb db, string id,
        Action<CaptionJob> change, CaptionJobSignals signals, CancellationToken aborted)
    {
        while (true)
        {
            CaptionJob job = await Find(db, id, aborted, tracked: true);
            change(job);
            if (!await db.TrySave(CancellationToken.None))
                continue;       // its progress was stored meanwhile
            signals.Raise();
            return Accepted(job);
        }
    }

    // The folder first, in one step: were the row gone first, a crash would leave the photos for ever.
    private static async Task<NoContent> Delete(string id, CaptionDb db, IOptions<StorageOptions> storage, CancellationToken aborted)
    {
        CaptionJob job = await Find(db, id, aborted);
        if (!job.Ended)
            throw new ProblemException(ProblemTable.JobState, $"The job is {job.State.Name()}: cancel it first.");
        if (await db.CaptionJobs.Where(other => other.Id != id && (other.PhotosOf == id || other.ComparesWith == id))
            .Select(other => other.Id).FirstOrDefaultAsync(aborted) is { } compared)
            throw new ProblemException(ProblemTable.JobState, $"The job '{compared}' compares with it: delete that first.");
        string gone = Path.Combine(storage.Value.Temporary, $"{id}.deleted");
        WholeFolder.Move(Path.Combine(storage.Value.CaptionJobs, id), gone);      // not there: another request could not remove the row
        await db.CaptionJobs.Where(row => row.Id == id).ExecuteDeleteAsync(CancellationToken.None);
        WholeFolder.Remove(gone);
        return TypedResults.NoContent();
    }

    private static Accepted<CaptionJobResponse> Accepted(CaptionJob job) =>
        TypedResults.Accepted($"/caption-jobs/{job.Id}", CaptionJobResponse.Of(job));

    /// <summary>The job with an id.</summary>
    /// <exception cref="ProblemException">There is none.</exception>
    internal static async Task<CaptionJob> Find(CaptionDb db, string id, CancellationToken aborted, bool tracked = false) =>
        (Ids.Is(id) ? await (tracked ? db.CaptionJobs : db.CaptionJobs.AsNoTracking()).FirstOrDefaultAsync(job => job.Id == id, aborted)
            : null)
        ?? throw new ProblemException(ProblemTable.CaptionJobNotFound, "There is no such caption job.");
}

/// <summary>Answer of <c>GET /caption-jobs</c>.</summary>
/// <param name="Total">Jobs in all.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Jobs">The page, the newest first.</param>
public sealed record CaptionJobsResponse(int Total, int Offset, IReadOnlyList<CaptionJobResponse> Jobs);

/// <summary>One job.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Source"><c>archive</c>, <c>dataset</c> or <c>folder</c>.</param>
/// <param name="Dataset">Id of the data set.</param>
/// <param name="Folder">The server's folder, as it was named.</param>
/// <param name="ComparesWith">The job whose captions its own are compared with.</param>
/// <param name="Models">The models, name@version.</param>
/// <param name="Options">Options as they were given.</param>
/// <param name="State">validating (its photos come), queued, running, cancelling, cancelled, failed or succeeded.</param>
/// <param name="CreatedAt">When it was asked for (UTC).</param>
/// <param name="RunningAt">When work on it last began.</param>
/// <param name="EndedAt">When it ended.</param>
/// <param name="Photos">Photos in all.</param>
/// <param name="Done">Photos that have a result.</param>
/// <param name="Problems">Those of them that have a problem instead of captions.</param>
/// <param name="PhotosPerSecond">Since work on it last began.</param>
/// <param name="SecondsLeft">At that rate; null when it does not run.</param>
/// <param name="Error">Why it failed.</param>
public sealed record CaptionJobResponse(string Id, string Source,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Dataset,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Folder,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ComparesWith,
    IReadOnlyList<string> Models, IReadOnlyDictionary<string, string> Options, string State,
    DateTimeOffset CreatedAt, DateTimeOffset? RunningAt, DateTimeOffset? EndedAt,
    int Photos, int Done, int Problems, double? PhotosPerSecond, double? SecondsLeft,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error)
{
    internal static CaptionJobResponse Of(CaptionJob job) =>
        new(job.Id, job.Source, job.DatasetId, job.Folder, job.ComparesWith, job.AllModels,
        JsonSerializer.Deserialize<Dictionary<string, string>>(job.Options)!, job.State.Name(), job.CreatedAt, job.RunningAt, job.EndedAt,
        job.Photos, job.Done, job.Problems, job.Rate is { } rate ? Math.Round(rate, 2) : null,
        job is { State: JobState.Running, Rate: > 0 } ? Math.Round((job.Photos - job.Done) / job.Rate.Value, 1) : null, job.Error);
}
