using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What a job did: its events, what can be drawn of them, its log and its checkpoints.</summary>
internal static class TrainingJobViews
{
    /// <summary>Pages of events.</summary>
    public static readonly Paging EventsPage = new(200, 1000);

    /// <summary>A page of events, or the stream of them.</summary>
    public static async Task<Results<Ok<TrainingEventsResponse>, EmptyHttpResult, NoContent>> Events(HttpContext http, string id, CaptionDb db, IDbContextFactory<CaptionDb> databases,
        TrainingSignals signals, TimeProvider time, long after = 0, string? limit = null, CancellationToken aborted = default)
    {
        TrainingJob job = await TrainingJobsApi.Find(db, id, aborted);
        if (http.Request.GetTypedHeaders().Accept.Any(type => type.MediaType == ServerSentEvents.MediaType))
        {
            if (ServerSentEvents.LastOf(http.Request) is { } last)
            {
                after = last;
                if (job.Ended && after >= job.LastEvent)
                    return TypedResults.NoContent();        // tells a browser to stop asking
            }
            await ServerSentEvents.Write(http, time, (stream, until) => new EventStream(databases, signals).Write(id, after, stream, until));
            return TypedResults.Empty;
        }
        int take = EventsPage.Limit(limit);
        List<TrainingJobEvent> page = await db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && e.Number > after).OrderBy(e => e.Number).Take(take + 1).ToListAsync(aborted);
        return TypedResults.Ok(new TrainingEventsResponse([.. page.Take(take).Select(TrainingEventResponse.Of)], page.Count > take ? page[take - 1].Number : null));
    }

    /// <summary>Series to draw, from the events.</summary>
    public static async Task<Ok<TrainingMetricsResponse>> Metrics(string id, CaptionDb db, CancellationToken aborted)
    {
        await TrainingJobsApi.Find(db, id, aborted);
        var steps = new List<StepMetrics>();
        var epochs = new List<EpochMetrics>();
        await foreach (TrainingJobEvent e in db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && (e.Type == "progress" || e.Type == "epoch")).OrderBy(e => e.Number).AsAsyncEnumerable().WithCancellation(aborted))
        {
            using JsonDocument document = JsonDocument.Parse(e.Data);
            JsonElement data = document.RootElement;
            if (e.Type == "epoch")
            {
                epochs.Add(new EpochMetrics(data.GetProperty("epoch").GetInt32(), data.GetProperty("step").GetInt64(), e.Time, Number(data, "loss"), Number(data, "negativeLogLikelihood"), Number(data, "devNegativeLogLikelihood"),
                    data.GetProperty("scores").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetDouble()),
                    [.. data.GetProperty("samples").EnumerateArray().Select(s => new SampleCaption(s.GetProperty("photo").GetString()!, s.GetProperty("caption").GetString()!))]));
            }
            else if (Number(data, "loss") is { } loss)
                steps.Add(new StepMetrics(data.GetProperty("step").GetInt64(), e.Time, loss, Number(data, "stepsPerSecond")));
        }
        return TypedResults.Ok(new TrainingMetricsResponse(steps, epochs));

        static double? Number(JsonElement data, string name) => data.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
    }

    /// <summary>The last lines of the trainer's log.</summary>
    public static async Task<ContentHttpResult> Log(string id, CaptionDb db, IOptions<StorageOptions> storage, int lines = 200, CancellationToken aborted = default)
    {
        if (lines is < 1 or > 10_000)
            throw TrainingJobRequest.Invalid($"lines is {lines}; it must be 1 to 10000.");
        TrainingJob job = await TrainingJobsApi.Find(db, id, aborted);
        IReadOnlyList<string> log = await TrainerLog.LastLines(Path.Combine(storage.Value.Jobs, job.Id, "log.txt"), lines, aborted);
        return TypedResults.Text(string.Concat(log.Select(line => line + "\n")), "text/plain; charset=utf-8");
    }

    /// <summary>What is in the job's folder to go on from.</summary>
    public static async Task<Ok<CheckpointsResponse>> Checkpoints(string id, CaptionDb db, IOptions<StorageOptions> storage, CancellationToken aborted)
    {
        TrainingJob job = await TrainingJobsApi.Find(db, id, aborted);
        var folder = new DirectoryInfo(Path.Combine(storage.Value.Jobs, job.Id));
        string? latest = await db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && e.Type == "checkpoint").OrderByDescending(e => e.Number).Select(e => e.Data).FirstOrDefaultAsync(aborted);
        FileInfo[] files = folder.Exists ? folder.GetFiles("*.safetensors") : [];
        return TypedResults.Ok(new CheckpointsResponse([.. files.OrderBy(f => f.Name, StringComparer.Ordinal).Select(f => f.Name == "checkpoint.safetensors"
            ? new CheckpointResponse(f.Name, "latest", latest is null ? null : JsonElement.Parse(latest).GetProperty("step").GetInt64(), null, f.Length, f.LastWriteTimeUtc)
            : new CheckpointResponse(f.Name, "best", null, int.TryParse(Path.GetFileNameWithoutExtension(f.Name).Split('-')[^1], out int epoch) ? epoch : null, f.Length, f.LastWriteTimeUtc))]));
    }
}

/// <summary>A page of events.</summary>
/// <param name="Events">In order.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null when there are no more now.</param>
public sealed record TrainingEventsResponse(IReadOnlyList<TrainingEventResponse> Events, long? Next);

/// <summary>One event.</summary>
/// <param name="Id">1, 2, 3, … within the job, without gaps.</param>
/// <param name="Time">When it was written.</param>
/// <param name="Type">started, resumed, progress, epoch, checkpoint, warning, stopped, failed or succeeded.</param>
/// <param name="Data">What happened; its members depend on the type.</param>
public sealed record TrainingEventResponse(long Id, DateTimeOffset Time, string Type, JsonElement Data)
{
    internal static TrainingEventResponse Of(TrainingJobEvent e) => new(e.Number, e.Time, e.Type, JsonElement.Parse(e.Data));
}

/// <summary>Series to draw.</summary>
/// <param name="Steps">By step, every few seconds.</param>
/// <param name="Epochs">By epoch; 0 is the base model before training.</param>
public sealed record TrainingMetricsResponse(IReadOnlyList<StepMetrics> Steps, IReadOnlyList<EpochMetrics> Epochs);

/// <summary>A point of the loss.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Time">When.</param>
/// <param name="Loss">Mean training loss of the epoch so far.</param>
/// <param name="StepsPerSecond">Rate.</param>
public sealed record StepMetrics(long Step, DateTimeOffset Time, double Loss, double? StepsPerSecond);

/// <summary>An epoch.</summary>
/// <param name="Epoch">1, 2, 3, …; 0 is the base model before training.</param>
/// <param name="Step">Steps made.</param>
/// <param name="Time">When.</param>
/// <param name="Loss">Mean training loss.</param>
/// <param name="NegativeLogLikelihood">Training loss per word, without label smoothing.</param>
/// <param name="DevNegativeLogLikelihood">Loss of the dev captions per word.</param>
/// <param name="Scores">Scores of searched captions: BLEU-1..4, ROUGE-L in 0..1, CIDEr in 0..10, length, distinct, verbatim.</param>
/// <param name="Samples">Captions of the same eight dev photos.</param>
public sealed record EpochMetrics(int Epoch, long Step, DateTimeOffset Time, double? Loss, double? NegativeLogLikelihood, double? DevNegativeLogLikelihood,
    IReadOnlyDictionary<string, double> Scores, IReadOnlyList<SampleCaption> Samples);

/// <summary>A dev photo's caption.</summary>
/// <param name="Photo">Its name.</param>
/// <param name="Caption">What the model says at this time.</param>
public sealed record SampleCaption(string Photo, string Caption);

/// <summary>What there is to go on from.</summary>
/// <param name="Checkpoints">The files.</param>
public sealed record CheckpointsResponse(IReadOnlyList<CheckpointResponse> Checkpoints);

/// <summary>One file.</summary>
/// <param name="File">Its name in the job's folder.</param>
/// <param name="Kind"><c>latest</c>: weights, optimiser and position; <c>best</c>: weights of the best epoch.</param>
/// <param name="Step">Steps made (latest).</param>
/// <param name="Epoch">Its epoch (best).</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Time">When it was written.</param>
public sealed record CheckpointResponse(string File, string Kind, long? Step, int? Epoch, long Bytes, DateTimeOffset Time);
