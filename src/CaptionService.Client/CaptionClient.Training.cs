namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    /// <summary>The presets, and every option with its default and range.</summary>
    public Task<TrainingPresetsResponse> GetTrainingPresetsAsync(CancellationToken cancellation = default) =>
        Get<TrainingPresetsResponse>("/training-presets", cancellation);

    /// <summary>Starts training in the background.</summary>
    /// <param name="request">What to train on, and how.</param>
    /// <param name="idempotencyKey">The same request sent again with it finds the same job.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task<TrainingJobResponse> StartTrainingAsync(TrainingJobRequest request, string? idempotencyKey = null,
        CancellationToken cancellation = default) =>
        PostJson<TrainingJobRequest, TrainingJobResponse>("/training-jobs", request, cancellation, ("Idempotency-Key", idempotencyKey));

    /// <summary>A page of jobs, the newest first.</summary>
    /// <param name="state">Only jobs in these states, separated by commas.</param>
    /// <param name="before">The page after the one whose <c>Next</c> this is.</param>
    /// <param name="dataset">Only jobs on this data set.</param>
    /// <param name="limit">How many at most.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task<TrainingJobsResponse> GetTrainingJobsAsync(string? state = null, string? before = null, string? dataset = null,
        int? limit = null, CancellationToken cancellation = default) =>
        Get<TrainingJobsResponse>("/training-jobs" + Query(("state", state), ("before", before), ("dataset", dataset), ("limit", limit)),
            cancellation);

    /// <summary>One job.</summary>
    public Task<TrainingJobResponse> GetTrainingJobAsync(string id, CancellationToken cancellation = default) =>
        Get<TrainingJobResponse>($"/training-jobs/{Segment(id)}", cancellation);

    /// <summary>The job whenever its state changes, until it has ended.</summary>
    public IAsyncEnumerable<TrainingJobResponse> WatchTrainingJobAsync(string id, CancellationToken cancellation = default) =>
        Events<TrainingJobResponse>($"/training-jobs/{Segment(id)}/events", "job", cancellation);

    /// <summary>A page of what happened, after an event.</summary>
    public Task<TrainingEventsResponse> GetTrainingJobEventsAsync(string id, long? after = null, int? limit = null,
        CancellationToken cancellation = default) =>
        Get<TrainingEventsResponse>($"/training-jobs/{Segment(id)}/events" + Query(("after", after), ("limit", limit)), cancellation);

    /// <summary>Losses and scores, to draw.</summary>
    public Task<TrainingMetricsResponse> GetTrainingJobMetricsAsync(string id, CancellationToken cancellation = default) =>
        Get<TrainingMetricsResponse>($"/training-jobs/{Segment(id)}/metrics", cancellation);

    /// <summary>The last lines that the trainer wrote.</summary>
    public async Task<string> GetTrainingJobLogAsync(string id, int? lines = null, CancellationToken cancellation = default)
    {
        await using Stream log = await Download($"/training-jobs/{Segment(id)}/log" + Query(("lines", lines)), "text/plain", cancellation)
            .ConfigureAwait(false);
        using var reader = new StreamReader(log);
        return await reader.ReadToEndAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>What there is to go on from.</summary>
    public Task<CheckpointsResponse> GetTrainingJobCheckpointsAsync(string id, CancellationToken cancellation = default) =>
        Get<CheckpointsResponse>($"/training-jobs/{Segment(id)}/checkpoints", cancellation);

    /// <summary>Saves and stops a job.</summary>
    public Task<TrainingJobResponse> CancelTrainingJobAsync(string id, CancellationToken cancellation = default) =>
        Post<TrainingJobResponse>($"/training-jobs/{Segment(id)}/cancel", cancellation);

    /// <summary>Goes on with a cancelled or failed job.</summary>
    public Task<TrainingJobResponse> ResumeTrainingJobAsync(string id, CancellationToken cancellation = default) =>
        Post<TrainingJobResponse>($"/training-jobs/{Segment(id)}/resume", cancellation);
}
