using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Datasets;
using CaptionService.Api.Models;
using CaptionService.Captioning.Training;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Training in the background: asked for, watched, cancelled, resumed.</summary>
public static partial class TrainingJobsApi
{
    internal const string CreateName = "CreateTrainingJob", EventsName = "GetTrainingJobEvents", LogName = "GetTrainingJobLog";

    private const int MaxBody = 64 * 1024;
    private const int MaxKey = 255;
    private static readonly TimeSpan KeyAbandoned = TimeSpan.FromMinutes(1);    // a server died between a key and its job

    /// <summary>Registers the controller and what it needs.</summary>
    public static IServiceCollection AddTrainingJobs(this IServiceCollection services)
    {
        services.AddOptions<TrainingSettings>().BindConfiguration(TrainingSettings.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<TrainingSignals>();
        services.AddSingleton<TrainingModels>();
        return services.AddHostedService<TrainingController>();
    }

    /// <summary>Maps <c>/training-jobs</c> and <c>/training-presets</c>.</summary>
    public static void MapTrainingJobs(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/training-presets", Ok<TrainingPresetsResponse> () => TypedResults.Ok(TrainingPresetsResponse.Instance))
            .WithName("GetTrainingPresets").WithTags("Training").WithSummary("The presets, and every option with its default, range and unit");

        RouteGroupBuilder jobs = routes.MapGroup("/training-jobs").WithTags("Training");
        jobs.MapPost("/", Create).WithName(CreateName).WithSummary("Starts training in the background")
            .WithDescription("Answers at once with the job, which waits for its turn; Location is where to watch it. With an `Idempotency-Key`, the same request sent again finds the same job.")
            .Problems(400, 404, 409, 413, 422, 503, 507);
        jobs.MapGet("/", List).WithName("GetTrainingJobs").WithSummary("Jobs, the newest first").Problems(400, 404, 503);
        jobs.MapGet("/{id}", async Task<Ok<TrainingJobResponse>> (string id, CaptionDb db, CancellationToken aborted) => TypedResults.Ok(TrainingJobResponse.Of(await Find(db, id, aborted))))
            .WithName("GetTrainingJob").WithSummary("One job: its state with times, and while it runs its stage, rate and time left").Problems(404, 503);
        jobs.MapGet("/{id}/events", Events).WithName(EventsName).WithSummary("What happened, as JSON or as a stream")
            .WithDescription("JSON: a page of events after a number. With `Accept: text/event-stream`: every event as it comes, from `Last-Event-ID` on, until the job ends; events named `job` carry the job itself whenever its state changes; 204 when there is nothing more to come.")
            .Problems(400, 404, 503);
        jobs.MapGet("/{id}/metrics", Metrics).WithName("GetTrainingJobMetrics").WithSummary("Series to draw: the loss by step; losses and scores by epoch").Problems(404, 503);
        jobs.MapGet("/{id}/log", Log).WithName(LogName).WithSummary("The last lines that the trainer wrote").Produces<string>(200, "text/plain").Problems(400, 404, 503);
        jobs.MapGet("/{id}/checkpoints", Checkpoints).WithName("GetTrainingJobCheckpoints").WithSummary("What is on disk to go on from: the latest state, the weights of the best epoch").Problems(404, 503);
        jobs.MapPost("/{id}/cancel", (string id, CaptionDb db, TrainingSignals signals, TimeProvider time, CancellationToken aborted) => Change(db, id, job => job.Cancel(time.GetUtcNow()), signals, aborted))
            .WithName("CancelTrainingJob").WithSummary("Saves and stops a job; it can be resumed").Problems(404, 409, 503);
        jobs.MapPost("/{id}/resume", (string id, CaptionDb db, TrainingSignals signals, TimeProvider time, CancellationToken aborted) => Change(db, id, job => job.Resume(time.GetUtcNow()), signals, aborted))
            .WithName("ResumeTrainingJob").WithSummary("Goes on with a cancelled or failed job from its last checkpoint").Problems(404, 409, 503);
    }

    private static async Task<Accepted<TrainingJobResponse>> Create(HttpContext http, CaptionDb db, TrainingModels models, TrainingSignals signals, TimeProvider time, CancellationToken aborted)
    {
        byte[] body = await ReadBody(http, aborted);
        string? key = Key(http.Request);
        string digest = Convert.ToHexStringLower(SHA256.HashData(body));
        if (key is not null && await Reserve(db, key, digest, time.GetUtcNow(), aborted) is { } made)
        {
            return Accepted(await Find(db, made, aborted));
        }
        TrainingJob job;
        try
        {
            job = await Job(TrainingJobRequest.Read(body), db, models, time.GetUtcNow(), aborted);
            db.TrainingJobs.Add(job);
            if (key is not null && await db.IdempotencyKeys.FindAsync([key], aborted) is { } reserved)
            {
                reserved.JobId = job.Id;
            }
            await db.SaveChangesAsync(CancellationToken.None);
        }
        catch (Exception) when (key is not null)
        {
            // Nothing was made: the corrected request may use the key.
            await db.IdempotencyKeys.Where(k => k.Key == key && k.JobId == null).ExecuteDeleteAsync(CancellationToken.None);
            throw;
        }
        signals.Raise();
        return Accepted(job);

        static Accepted<TrainingJobResponse> Accepted(TrainingJob job) => TypedResults.Accepted($"/training-jobs/{job.Id}", TrainingJobResponse.Of(job));
    }

    private static async Task<TrainingJob> Job(TrainingJobRequest request, CaptionDb db, TrainingModels models, DateTimeOffset now, CancellationToken aborted)
    {
        TrainingPreset preset = request.ChosenPreset();
        if (string.IsNullOrEmpty(request.Dataset))
        {
            throw TrainingJobRequest.Invalid("dataset is missing: the id of one of GET /datasets.");
        }
        bool hasBase = request.BaseModel is not null || preset.StartsFromActive;
        TrainingOptions options = request.ChosenOptions(preset, hasBase);
        if (request.Name is { } given && !ModelName().IsMatch(given))
        {
            throw TrainingJobRequest.Invalid("name must be 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit.");
        }
        Dataset dataset = await db.Datasets.AsNoTracking().FirstOrDefaultAsync(d => d.Id == request.Dataset, aborted)
            ?? throw new ProblemException(ProblemTable.DatasetNotFound, "No data set has the id that dataset names.");
        if (dataset.Status is not ("ready" or "checking"))
        {
            throw new ProblemException(ProblemTable.DatasetNotReady, $"The data set was refused: {dataset.Problem}");
        }
        RegisteredModel? start = null;
        if (hasBase)
        {
            start = models.Find(request.BaseModel, dataset.Language)
                ?? throw new ProblemException(ProblemTable.NoBaseModel, $"The preset {preset.Name} starts from the model in service, but none writes '{dataset.Language}'.");
            if (!string.Equals(start.Card.Language.Split('-')[0], dataset.Language.Split('-')[0], StringComparison.OrdinalIgnoreCase))
            {
                throw TrainingJobRequest.Invalid($"baseModel writes '{start.Card.Language}', the data set is '{dataset.Language}': both must be of one language.");
            }
        }
        var job = new TrainingJob
        {
            Id = Ids.New(),
            Name = request.Name ?? start?.Card.Name ?? NameOf(dataset),
            DatasetId = dataset.Id,
            Preset = preset.Name,
            BaseModel = start?.Reference,
            Seed = options.Seed,
            Options = JsonSerializer.Serialize(options, TrainingJobRequest.Format),
            BudgetMinutes = request.Budget?.Minutes,
            ActivateIfBetter = request.ActivateIfBetter ?? false,
            CreatedAt = now,
        };
        if (dataset.Status == "ready")
        {
            job.Queue(now);
        }
        return job;
    }

    /// <summary>Takes a key for a new job.</summary>
    /// <returns>The job that the key made before; null: the key is new and reserved.</returns>
    private static async Task<string?> Reserve(CaptionDb db, string key, string digest, DateTimeOffset now, CancellationToken aborted)
    {
        IdempotencyKey? known = await db.IdempotencyKeys.AsNoTracking().FirstOrDefaultAsync(k => k.Key == key, aborted);
        if (known is null)
        {
            db.IdempotencyKeys.Add(new IdempotencyKey { Key = key, BodyDigest = digest, CreatedAt = now });
            try
            {
                await db.SaveChangesAsync(CancellationToken.None);
                return null;
            }
            catch (DbUpdateException)
            {
                // Another request was faster with the same key, or the database failed: the second look tells.
                db.ChangeTracker.Clear();
                known = await db.IdempotencyKeys.AsNoTracking().FirstOrDefaultAsync(k => k.Key == key, aborted);
                if (known is null)
                {
                    throw;
                }
            }
        }
        if (known.BodyDigest != digest)
        {
            throw new ProblemException(ProblemTable.IdempotencyKeyReused, "The body is not the one that this Idempotency-Key came with first.");
        }
        if (known.JobId is { } made)
        {
            return made;
        }
        bool taken = now - known.CreatedAt > KeyAbandoned
            && await db.IdempotencyKeys.Where(k => k.Key == key && k.JobId == null && k.CreatedAt == known.CreatedAt).ExecuteUpdateAsync(k => k.SetProperty(x => x.CreatedAt, now), aborted) == 1;
        return taken ? null : throw new ProblemException(ProblemTable.IdempotencyKeyInUse, "The first request with this Idempotency-Key is not answered yet.");
    }

    // A structured-field string as the IETF draft has it, or the bare text that many clients send.
    private static string? Key(HttpRequest request)
    {
        string header = request.Headers["Idempotency-Key"].ToString().Trim();
        if (header.Length == 0)
        {
            return null;
        }
        string key = header is ['"', .. var quoted, '"'] ? quoted : header;
        return key.Length is > 0 and <= MaxKey && key.All(c => c is >= ' ' and <= '~')
            ? key
            : throw TrainingJobRequest.Invalid($"Idempotency-Key must be 1 to {MaxKey} characters of ASCII.");
    }

    private static async Task<byte[]> ReadBody(HttpContext http, CancellationToken aborted)
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = MaxBody;
        }
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, aborted);
        return body.ToArray();
    }

    private static async Task<Ok<TrainingJobsResponse>> List(CaptionDb db, string? state, string? before, string? dataset, int limit = 50, CancellationToken aborted = default)
    {
        if (limit is < 1 or > 200)
        {
            throw TrainingJobRequest.Invalid($"limit is {limit}; it must be 1 to 200.");
        }
        IQueryable<TrainingJob> jobs = db.TrainingJobs.AsNoTracking();
        if (!string.IsNullOrEmpty(state))
        {
            JobState[] states = [.. state.Split(',').Select(name => Enum.TryParse(name, ignoreCase: true, out JobState found) && Enum.IsDefined(found) && !char.IsAsciiDigit(name[0])
                ? found
                : throw TrainingJobRequest.Invalid($"state is a list of {string.Join(", ", Enum.GetNames<JobState>()).ToLowerInvariant()}."))];
            jobs = jobs.Where(j => states.Contains(j.State));
        }
        if (!string.IsNullOrEmpty(dataset))
        {
            jobs = jobs.Where(j => j.DatasetId == dataset);
        }
        if (!string.IsNullOrEmpty(before))
        {
            TrainingJob last = await Find(db, before, aborted);
            jobs = jobs.Where(j => j.CreatedAt < last.CreatedAt || (j.CreatedAt == last.CreatedAt && j.Id.CompareTo(last.Id) < 0));
        }
        List<TrainingJob> page = await jobs.OrderByDescending(j => j.CreatedAt).ThenByDescending(j => j.Id).Take(limit + 1).ToListAsync(aborted);
        return TypedResults.Ok(new TrainingJobsResponse([.. page.Take(limit).Select(TrainingJobResponse.Of)], page.Count > limit ? page[limit - 1].Id : null));
    }

    private static async Task<Results<Ok<TrainingEventsResponse>, EmptyHttpResult, NoContent>> Events(HttpContext http, string id, CaptionDb db, IDbContextFactory<CaptionDb> databases,
        TrainingSignals signals, TimeProvider time, IHostApplicationLifetime lifetime, long after = 0, int limit = 200, CancellationToken aborted = default)
    {
        TrainingJob job = await Find(db, id, aborted);
        if (http.Request.GetTypedHeaders().Accept.Any(type => type.MediaType == "text/event-stream"))
        {
            if (http.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } text)
            {
                after = long.TryParse(text, out long number) && number >= 0 ? number : throw TrainingJobRequest.Invalid("Last-Event-ID must be the number of an event.");
                if (job.Ended && after >= job.LastEvent)
                {
                    return TypedResults.NoContent();        // tells a browser to stop asking
                }
            }
            using var until = CancellationTokenSource.CreateLinkedTokenSource(aborted, lifetime.ApplicationStopping);
            await new EventStream(http.Response, databases, signals, time).Write(id, after, until.Token);
            return TypedResults.Empty;
        }
        if (limit is < 1 or > 1000)
        {
            throw TrainingJobRequest.Invalid($"limit is {limit}; it must be 1 to 1000.");
        }
        List<TrainingJobEvent> page = await db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && e.Number > after).OrderBy(e => e.Number).Take(limit + 1).ToListAsync(aborted);
        return TypedResults.Ok(new TrainingEventsResponse([.. page.Take(limit).Select(TrainingEventResponse.Of)], page.Count > limit ? page[limit - 1].Number : null));
    }

    private static async Task<Ok<TrainingMetricsResponse>> Metrics(string id, CaptionDb db, CancellationToken aborted)
    {
        await Find(db, id, aborted);
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
            {
                steps.Add(new StepMetrics(data.GetProperty("step").GetInt64(), e.Time, loss, Number(data, "stepsPerSecond")));
            }
        }
        return TypedResults.Ok(new TrainingMetricsResponse(steps, epochs));

        static double? Number(JsonElement data, string name) => data.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
    }

    private static async Task<ContentHttpResult> Log(string id, CaptionDb db, IOptions<StorageOptions> storage, int lines = 200, CancellationToken aborted = default)
    {
        if (lines is < 1 or > 10_000)
        {
            throw TrainingJobRequest.Invalid($"lines is {lines}; it must be 1 to 10000.");
        }
        TrainingJob job = await Find(db, id, aborted);
        IReadOnlyList<string> log = await TrainerProcess.LastLines(Path.Combine(storage.Value.Jobs, job.Id, "log.txt"), lines, aborted);
        return TypedResults.Text(string.Concat(log.Select(line => line + "\n")), "text/plain; charset=utf-8");
    }

    private static async Task<Ok<CheckpointsResponse>> Checkpoints(string id, CaptionDb db, IOptions<StorageOptions> storage, CancellationToken aborted)
    {
        TrainingJob job = await Find(db, id, aborted);
        var folder = new DirectoryInfo(Path.Combine(storage.Value.Jobs, job.Id));
        string? latest = await db.TrainingJobEvents.AsNoTracking().Where(e => e.JobId == id && e.Type == "checkpoint").OrderByDescending(e => e.Number).Select(e => e.Data).FirstOrDefaultAsync(aborted);
        FileInfo[] files = folder.Exists ? folder.GetFiles("*.safetensors") : [];
        return TypedResults.Ok(new CheckpointsResponse([.. files.OrderBy(f => f.Name, StringComparer.Ordinal).Select(f => f.Name == "checkpoint.safetensors"
            ? new CheckpointResponse(f.Name, "latest", latest is null ? null : JsonElement.Parse(latest).GetProperty("step").GetInt64(), null, f.Length, f.LastWriteTimeUtc)
            : new CheckpointResponse(f.Name, "best", null, int.TryParse(Path.GetFileNameWithoutExtension(f.Name).Split('-')[^1], out int epoch) ? epoch : null, f.Length, f.LastWriteTimeUtc))]));
    }

    private static async Task<Accepted<TrainingJobResponse>> Change(CaptionDb db, string id, Action<TrainingJob> change, TrainingSignals signals, CancellationToken aborted)
    {
        while (true)
        {
            TrainingJob job = await Find(db, id, aborted, tracked: true);
            change(job);
            try
            {
                await db.SaveChangesAsync(CancellationToken.None);
                signals.Raise();
                return TypedResults.Accepted($"/training-jobs/{job.Id}", TrainingJobResponse.Of(job));
            }
            catch (DbUpdateConcurrencyException)
            {
                db.ChangeTracker.Clear();       // its events were stored meanwhile: once more
            }
        }
    }

    private static async Task<TrainingJob> Find(CaptionDb db, string id, CancellationToken aborted, bool tracked = false) =>
        await (tracked ? db.TrainingJobs : db.TrainingJobs.AsNoTracking()).FirstOrDefaultAsync(j => j.Id == id, aborted)
        ?? throw new ProblemException(ProblemTable.JobNotFound, "There is no such training job.");

    private static string NameOf(Dataset dataset)
    {
        string name = new([.. dataset.Name.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')]);
        name = name.Trim('-');
        return name.Length == 0 ? "model" : name.Length <= 64 ? name : name[..64].TrimEnd('-');
    }

    private static RouteHandlerBuilder Problems(this RouteHandlerBuilder route, params int[] statuses)
    {
        foreach (int status in statuses)
        {
            route.ProducesProblem(status);
        }
        return route;
    }

    [System.Text.RegularExpressions.GeneratedRegex("^[a-z0-9][a-z0-9._-]{0,63}$")]
    private static partial System.Text.RegularExpressions.Regex ModelName();
}

/// <summary>Answer of <c>GET /training-jobs</c>.</summary>
/// <param name="Jobs">The newest first.</param>
/// <param name="Next">Give it as <c>before</c> for the next page; null at the end.</param>
public sealed record TrainingJobsResponse(IReadOnlyList<TrainingJobResponse> Jobs, string? Next);

/// <summary>One job.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Name of the model to be made.</param>
/// <param name="Dataset">Id of the data set.</param>
/// <param name="Preset">tutorial, quick or best.</param>
/// <param name="BaseModel">The model it starts from, name@version.</param>
/// <param name="Seed">Seed of all that is random.</param>
/// <param name="BudgetMinutes">Longest training time.</param>
/// <param name="ActivateIfBetter">Whether the model goes into service when it is better than the active one.</param>
/// <param name="State">validating, queued, running, cancelling, cancelled, failed or succeeded.</param>
/// <param name="Times">When it came into each state.</param>
/// <param name="Attempt">Number of the latest attempt.</param>
/// <param name="LastEvent">Number of the latest event.</param>
/// <param name="Progress">What is under way; null when nothing is.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Model">The model that it made.</param>
/// <param name="Decision">Why that was put into service, or not.</param>
/// <param name="Options">Every option of the run.</param>
public sealed record TrainingJobResponse(string Id, string Name, string Dataset, string Preset, string? BaseModel, int Seed, double? BudgetMinutes, bool ActivateIfBetter,
    string State, TrainingJobTimes Times, int Attempt, long LastEvent, TrainingJobProgress? Progress, string? Error, TrainedModel? Model, string? Decision, JsonElement Options)
{
    internal static TrainingJobResponse Of(TrainingJob job) => new(job.Id, job.Name, job.DatasetId, job.Preset, job.BaseModel, job.Seed, job.BudgetMinutes, job.ActivateIfBetter,
        job.State.ToString().ToLowerInvariant(),
        new TrainingJobTimes(job.CreatedAt, job.QueuedAt, job.RunningAt, job.CancellingAt, job.CancelledAt, job.FailedAt, job.SucceededAt),
        job.Attempt, job.LastEvent,
        job.State is JobState.Running or JobState.Cancelling ? new TrainingJobProgress(job.Stage, job.Step, job.Steps, job.Rate, job.SecondsLeft) : null,
        job.Error,
        job.ModelName is { } model ? new TrainedModel(model, job.ModelVersion ?? 0) : null,
        job.Decision, JsonElement.Parse(job.Options));
}

/// <summary>When a job came into each state; the latest time where it did so several times.</summary>
/// <param name="Validating">When it was asked for.</param>
/// <param name="Queued">When it began to wait.</param>
/// <param name="Running">When its latest attempt began.</param>
/// <param name="Cancelling">When it was asked to stop.</param>
/// <param name="Cancelled">When it had stopped.</param>
/// <param name="Failed">When it failed.</param>
/// <param name="Succeeded">When its model was there.</param>
public sealed record TrainingJobTimes(DateTimeOffset Validating, DateTimeOffset? Queued, DateTimeOffset? Running, DateTimeOffset? Cancelling, DateTimeOffset? Cancelled, DateTimeOffset? Failed, DateTimeOffset? Succeeded);

/// <summary>What a running job does.</summary>
/// <param name="Stage">features, epoch N, and so on.</param>
/// <param name="Step">Units done.</param>
/// <param name="Steps">Units in all.</param>
/// <param name="Rate">Units a second.</param>
/// <param name="SecondsLeft">At that rate.</param>
public sealed record TrainingJobProgress(string? Stage, long? Step, long? Steps, double? Rate, double? SecondsLeft);

/// <summary>A model in the registry.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version.</param>
public sealed record TrainedModel(string Name, int Version);

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
/// <param name="NegativeLogLikelihood">The same without label smoothing, per word.</param>
/// <param name="DevNegativeLogLikelihood">Of the dev captions, per word.</param>
/// <param name="Scores">Of searched captions: BLEU-1..4, ROUGE-L in 0..1, CIDEr in 0..10, length, distinct, verbatim.</param>
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

/// <summary>Answer of <c>GET /training-presets</c>.</summary>
/// <param name="Presets">All of them.</param>
public sealed record TrainingPresetsResponse(IReadOnlyList<TrainingPresetResponse> Presets)
{
    internal static readonly TrainingPresetsResponse Instance = new([.. TrainingPreset.All.Select(preset =>
    {
        JsonElement defaults = JsonSerializer.SerializeToElement(preset.Options, TrainingJobRequest.Format);
        return new TrainingPresetResponse(preset.Name, preset.Description, preset.StartsFromActive,
            [.. TrainingOption.All.Select(o => new TrainingOptionResponse(o.Name, o.Type, defaults.GetProperty(o.Name), o.Minimum, o.Maximum, o.Values, o.Unit, o.Description, o.OfNetwork))]);
    })]);
}

/// <summary>One preset.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it is for.</param>
/// <param name="StartsFromActive">Whether it starts from the model in service when no <c>baseModel</c> is named.</param>
/// <param name="Options">Every option.</param>
public sealed record TrainingPresetResponse(string Name, string Description, bool StartsFromActive, IReadOnlyList<TrainingOptionResponse> Options);

/// <summary>One option.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Default">Its value in this preset.</param>
/// <param name="Minimum">Smallest value.</param>
/// <param name="Maximum">Largest value.</param>
/// <param name="Values">The values of a string.</param>
/// <param name="Unit">What it counts; null: a plain number.</param>
/// <param name="Description">What it does.</param>
/// <param name="OfNetwork">Whether a base model's own is kept, so that it cannot be set with one.</param>
public sealed record TrainingOptionResponse(string Name, string Type, JsonElement Default,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Minimum,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Maximum,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Values,
    string? Unit, string Description, bool OfNetwork);
