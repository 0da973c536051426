namespace CaptionService.Api.TrainingJobs;

/// <summary>One training job, as the database has it. What may follow what is in its methods.</summary>
public sealed class TrainingJob
{
    /// <summary>Its id, and its folder's name.</summary>
    public required string Id { get; init; }

    /// <summary>Name of the model to be made.</summary>
    public required string Name { get; init; }

    /// <summary>The data set.</summary>
    public required string DatasetId { get; init; }

    /// <summary>tutorial, quick or best.</summary>
    public required string Preset { get; init; }

    /// <summary>The model training starts from: name@version; null: from nothing.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Seed of all that is random.</summary>
    public required int Seed { get; init; }

    /// <summary>Every option of the run (JSON).</summary>
    public required string Options { get; init; }

    /// <summary>Longest training time.</summary>
    public double? BudgetMinutes { get; init; }

    /// <summary>Whether the model goes into service when it is better than the active one.</summary>
    public bool ActivateIfBetter { get; init; }

    /// <summary>Where the job is.</summary>
    public JobState State { get; private set; } = JobState.Validating;

    /// <summary>When it was asked for.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it last became queued.</summary>
    public DateTimeOffset? QueuedAt { get; private set; }

    /// <summary>When it first ran.</summary>
    public DateTimeOffset? RunningAt { get; private set; }

    /// <summary>When it was asked to stop.</summary>
    public DateTimeOffset? CancellingAt { get; private set; }

    /// <summary>When it was cancelled.</summary>
    public DateTimeOffset? CancelledAt { get; private set; }

    /// <summary>When it failed.</summary>
    public DateTimeOffset? FailedAt { get; private set; }

    /// <summary>When it succeeded.</summary>
    public DateTimeOffset? SucceededAt { get; private set; }

    /// <summary>Number of the latest attempt; 0 before the first. An older attempt can write nothing more.</summary>
    public int Attempt { get; private set; }

    /// <summary>The server that runs it.</summary>
    public string? LeaseOwner { get; private set; }

    /// <summary>Until when that server holds it; after that any server may take it.</summary>
    public DateTimeOffset? LeaseUntil { get; private set; }

    /// <summary>Number of the latest event stored.</summary>
    public long LastEvent { get; private set; }

    /// <summary>What is under way.</summary>
    public string? Stage { get; private set; }

    /// <summary>Units of the stage done.</summary>
    public long? Step { get; private set; }

    /// <summary>Units of the stage in all.</summary>
    public long? Steps { get; private set; }

    /// <summary>Units a second.</summary>
    public double? Rate { get; private set; }

    /// <summary>Seconds left at that rate.</summary>
    public double? SecondsLeft { get; private set; }

    /// <summary>Why it failed.</summary>
    public string? Error { get; private set; }

    /// <summary>Name of the model in the registry.</summary>
    public string? ModelName { get; private set; }

    /// <summary>Its version.</summary>
    public int? ModelVersion { get; private set; }

    /// <summary>Why the model was activated, or not.</summary>
    public string? Decision { get; private set; }

    /// <summary>Crashes in a row without a step of progress between them.</summary>
    public int CrashesWithoutProgress { get; private set; }

    /// <summary>Counts the changes: of two that overlap, one is refused.</summary>
    public long Revision { get; private set; }
}

/// <summary>Where a job is in its life.</summary>
public enum JobState
{
    /// <summary>The data set is being looked at.</summary>
    Validating,

    /// <summary>Waiting for its turn.</summary>
    Queued,

    /// <summary>Its trainer runs.</summary>
    Running,

    /// <summary>Its trainer saves and stops.</summary>
    Cancelling,

    /// <summary>Stopped on request; can be resumed.</summary>
    Cancelled,

    /// <summary>Ended without a model; can be resumed.</summary>
    Failed,

    /// <summary>The model is there.</summary>
    Succeeded,
}
