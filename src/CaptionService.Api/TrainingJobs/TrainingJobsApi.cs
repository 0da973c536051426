using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Training in the background: asked for, watched, cancelled, resumed.</summary>
public static class TrainingJobsApi
{
    /// <summary>Registers the controller and what it needs.</summary>
    public static IServiceCollection AddTrainingJobs(this IServiceCollection services)
    {
        services.AddOptions<TrainingSettings>().BindConfiguration(TrainingSettings.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<TrainingSignals>();
        services.AddSingleton<TrainingModels>();
        services.AddSingleton<TrainingMetrics>();
        return services.AddSingleton<ITrainerWork, TrainingController>();
    }

    /// <summary>Maps <c>/training-jobs</c> and <c>/training-presets</c>.</summary>
    public static void MapTrainingJobs(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/training-presets", Ok<TrainingPresetsResponse> () => TypedResults.Ok(TrainingPresetsResponse.Instance))
            .Needs(Scope.Train).WithName("GetTrainingPresets").WithTags("Training").WithSummary("The presets, and every option with its default, range and unit");

        RouteGroupBuilder jobs = routes.MapGroup("/training-jobs").WithTags("Training").Needs(Scope.Train);
        jobs.MapPost("/", NewTrainingJob.Create).WithName("CreateTrainingJob").WithSummary("Starts training in the background")
            .WithDescription("Answers at once with the job, which waits for its turn; Location is where to watch it. With an `Idempotency-Key`, the same request sent again finds the same job.")
            .Problems(400, 404, 409, 413, 415, 422, 503, 507).Describe(TrainingJobsOperation.DescribeCreation);
        jobs.MapGet("/", List).WithName("GetTrainingJobs").WithSummary("Jobs, the newest first").Problems(400, 404, 503).Describe(Paging.List.Describe);
        jobs.MapGet("/{id}", async Task<Ok<TrainingJobResponse>> (string id, CaptionDb db, CancellationToken aborted) => TypedResults.Ok(TrainingJobResponse.Of(await Find(db, id, aborted))))
            .WithName("GetTrainingJob").WithSummary("One job: its state with times, and while it runs its stage, rate and time left").Problems(404, 503);
        jobs.MapGet("/{id}/events", TrainingJobViews.Events).WithName("GetTrainingJobEvents").WithSummary("What happened, as JSON or as a stream")
            .WithDescription("JSON: a page of events after a number. With `Accept: text/event-stream`: every event as it comes, from `Last-Event-ID` on, until the job ends; events named `job` carry the job itself whenever its state changes; 204 when there is nothing more to come.")
            .Problems(400, 404, 503).Describe(TrainingJobsOperation.DescribeEvents).Describe(TrainingJobViews.EventsPage.Describe);
        jobs.MapGet("/{id}/metrics", TrainingJobViews.Metrics).WithName("GetTrainingJobMetrics").WithSummary("Series to draw: the loss by step; losses and scores by epoch").Problems(404, 503);
        jobs.MapGet("/{id}/log", TrainingJobViews.Log).WithName("GetTrainingJobLog").WithSummary("The last lines that the trainer wrote").Produces<string>(200, "text/plain").Problems(400, 404, 503);
        jobs.MapGet("/{id}/checkpoints", TrainingJobViews.Checkpoints).WithName("GetTrainingJobCheckpoints").WithSummary("What is on disk to go on from: the latest state, the weights of the best epoch").Problems(404, 503);
        jobs.MapPost("/{id}/cancel", (string id, CaptionDb db, TrainingSignals signals, TimeProvider time, CancellationToken aborted) => Change(db, id, job => job.Cancel(time.GetUtcNow()), signals, aborted))
            .WithName("CancelTrainingJob").WithSummary("Saves and stops a job; it can be resumed").Problems(404, 409, 503);
        jobs.MapPost("/{id}/resume", (string id, CaptionDb db, TrainingSignals signals, TimeProvider time, CancellationToken aborted) => Change(db, id, job => job.Resume(time.GetUtcNow()), signals, aborted))
            .WithName("ResumeTrainingJob").WithSummary("Goes on with a cancelled or failed job from its last checkpoint").Problems(404, 409, 503);
    }

    private static async Task<Ok<TrainingJobsResponse>> List(CaptionDb db, string? state, string? before, string? dataset, string? limit, CancellationToken aborted)
    {
        int take = Paging.List.Limit(limit);
        IQueryable<TrainingJob> jobs = db.TrainingJobs.AsNoTracking();
        if (!string.IsNullOrEmpty(state))
        {
            JobState[] states = [.. state.Split(',').Select(name => Enum.TryParse(name, ignoreCase: true, out JobState found) && Enum.IsDefined(found) && !char.IsAsciiDigit(name[0])
                ? found
                : throw TrainingJobRequest.Invalid($"state is a list of {string.Join(", ", Enum.GetNames<JobState>()).ToLowerInvariant()}."))];
            jobs = jobs.Where(j => states.Contains(j.State));
        }
        if (!string.IsNullOrEmpty(dataset))
            jobs = jobs.Where(JobDataset.UsedBy(dataset));
        if (!string.IsNullOrEmpty(before))
        {
            TrainingJob last = await Find(db, before, aborted);
            jobs = jobs.Where(j => j.CreatedAt < last.CreatedAt || (j.CreatedAt == last.CreatedAt && j.Id.CompareTo(last.Id) < 0));
        }
        List<TrainingJob> page = await jobs.OrderByDescending(j => j.CreatedAt).ThenByDescending(j => j.Id).Take(take + 1).ToListAsync(aborted);
        return TypedResults.Ok(new TrainingJobsResponse([.. page.Take(take).Select(TrainingJobResponse.Of)], page.Count > take ? page[take - 1].Id : null));
    }

    private static async Task<Accepted<TrainingJobResponse>> Change(CaptionDb db, string id, Action<TrainingJob> change, TrainingSignals signals, CancellationToken aborted)
    {
        while (true)
        {
            TrainingJob job = await Find(db, id, aborted, tracked: true);
            change(job);
            if (!await db.TrySave(CancellationToken.None))
                continue;       // its events were stored meanwhile
            signals.Raise();
            return TypedResults.Accepted($"/training-jobs/{job.Id}", TrainingJobResponse.Of(job));
        }
    }

    /// <summary>The job with an id.</summary>
    /// <exception cref="ProblemException">There is none.</exception>
    internal static async Task<TrainingJob> Find(CaptionDb db, string id, CancellationToken aborted, bool tracked = false) =>
        await (tracked ? db.TrainingJobs : db.TrainingJobs.AsNoTracking()).FirstOrDefaultAsync(j => j.Id == id, aborted)
        ?? throw new ProblemException(ProblemTable.JobNotFound, "There is no such training job.");
}

/// <summary>Answer of <c>GET /training-jobs</c>.</summary>
/// <param name="Jobs">The newest first.</param>
/// <param name="Next">Give it as <c>before</c> for the next page; null at the end.</param>
public sealed record TrainingJobsResponse(IReadOnlyList<TrainingJobResponse> Jobs, string? Next);

/// <summary>One job.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Name of the model to be made.</param>
/// <param name="Dataset">Id of the data set; of several the first.</param>
/// <param name="Datasets">All data sets, with how they are learnt from.</param>
/// <param name="Preset">tutorial, attend, quick or best.</param>
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
public sealed record TrainingJobResponse(string Id, string Name, string Dataset, IReadOnlyList<JobDataset> Datasets, string Preset, string? BaseModel, int Seed, double? BudgetMinutes, bool ActivateIfBetter,
    string State, TrainingJobTimes Times, int Attempt, long LastEvent, TrainingJobProgress? Progress, string? Error, TrainedModel? Model, string? Decision, JsonElement Options)
{
    internal static TrainingJobResponse Of(TrainingJob job) => new(job.Id, job.Name, job.DatasetId, job.AllDatasets(), job.Preset, job.BaseModel, job.Seed, job.BudgetMinutes, job.ActivateIfBetter,
        job.State.Name(),
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
