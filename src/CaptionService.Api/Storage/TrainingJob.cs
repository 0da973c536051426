using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Storage;

/// <summary>One training job, as the database has it. What may follow what is in its methods.</summary>
public sealed class TrainingJob
{
    /// <summary>Its id, and its folder's name.</summary>
    public required string Id { get; init; }

    /// <summary>Name of the model to be made.</summary>
    public required string Name { get; init; }

    /// <summary>The data set; of several the first.</summary>
    public required string DatasetId { get; init; }

    /// <summary>All data sets, the first among them (JSON of <see cref="JobDataset"/>s); null: one, as <see cref="JobDataset.Plain"/> has it.</summary>
    public string? Datasets { get; init; }

    /// <summary>tutorial, attend, quick or best.</summary>
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

    /// <summary>When its latest attempt began.</summary>
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

    /// <summary>Whether nothing more happens unless it is resumed.</summary>
    public bool Ended => State is JobState.Cancelled or JobState.Failed or JobState.Succeeded;

    /// <summary>All data sets that it is trained on.</summary>
    public IReadOnlyList<JobDataset> AllDatasets() => Datasets is null ? [JobDataset.Plain(DatasetId)] : JobDataset.Read(Datasets);

    /// <summary>Its data sets are fit: it waits for its turn.</summary>
    public void Queue(DateTimeOffset now) => Become(JobState.Queued, now);

    /// <summary>A server takes it for a new attempt; of one that was being cancelled, only to end it.</summary>
    public void Claim(string owner, DateTimeOffset until, DateTimeOffset now)
    {
        Attempt++;
        (LeaseOwner, LeaseUntil) = (owner, until);
        (Stage, Step, Steps, Rate, SecondsLeft, Error) = ("starting", null, null, null, null, null);
        if (State == JobState.Cancelling)
            Revision++;
        else
            Become(JobState.Running, now);
    }

    /// <summary>Whether a server still holds an attempt.</summary>
    public bool IsHeld(string owner, int attempt) => LeaseOwner == owner && Attempt == attempt && State is JobState.Running or JobState.Cancelling;

    /// <summary>The server that holds it is alive.</summary>
    public void Renew(DateTimeOffset until)
    {
        LeaseUntil = until;
        Revision++;
    }

    /// <summary>Its model is there and is being registered, and compared where that was asked for.</summary>
    public void Publish(DateTimeOffset until)
    {
        (Stage, Rate, SecondsLeft) = (PublishingStage, null, null);
        Renew(until);
    }

    /// <summary>Whether that is under way.</summary>
    public bool IsPublishing => Stage == PublishingStage;

    private string PublishingStage => ActivateIfBetter ? "comparing" : "publishing";

    /// <summary>Takes in an event of the trainer.</summary>
    public void Report(TrainingEvent e)
    {
        LastEvent = e.Id;
        switch (e.Type)
        {
            case "progress":
                bool training = Text(e, "stage") == "training";
                Stage = training ? $"epoch {Number(e, "epoch")}" : Text(e, "stage");
                Step = (long?)Number(e, training ? "step" : "done");
                Steps = (long?)Number(e, training ? "steps" : "total");
                Rate = Number(e, training ? "stepsPerSecond" : "perSecond");
                SecondsLeft = Number(e, "secondsLeft");
                CrashesWithoutProgress = training ? CrashesWithoutProgress : 0;     // what is encoded stays; steps stay from a checkpoint on
                break;
            case "epoch":
                Stage = $"epoch {Number(e, "epoch")}";
                Step = (long?)Number(e, "step");
                break;
            case "checkpoint":
                Step = (long?)Number(e, "step");
                CrashesWithoutProgress = 0;
                break;
            case "failed":
                Error = Text(e, "message");
                break;
        }
        Revision++;
    }

    /// <summary>Asked to end it.</summary>
    /// <exception cref="ProblemException">It has ended already.</exception>
    public void Cancel(DateTimeOffset now)
    {
        switch (State)
        {
            case JobState.Validating or JobState.Queued:
                Become(JobState.Cancelled, now);
                break;
            case JobState.Running:
                Become(JobState.Cancelling, now);
                break;
            case JobState.Cancelling or JobState.Cancelled:
                break;      // asked again
            default:
                throw new ProblemException(ProblemTable.JobState, $"The job has {State.Name()} and cannot be cancelled.");
        }
    }

    /// <summary>Asked to go on from the last checkpoint.</summary>
    /// <exception cref="ProblemException">It has not ended, or has succeeded.</exception>
    public void Resume(DateTimeOffset now)
    {
        if (State is not (JobState.Cancelled or JobState.Failed))
            throw new ProblemException(ProblemTable.JobState, $"The job is {State.Name()}: only what was cancelled or has failed can be resumed.");
        (CancellingAt, CancelledAt, FailedAt, Error, CrashesWithoutProgress) = (null, null, null, null, 0);
        Become(JobState.Queued, now);
    }

    /// <summary>Its trainer saved and stopped: cancelled where that was asked for, else back into the queue.</summary>
    public void Stopped(DateTimeOffset now) => Become(State == JobState.Cancelling ? JobState.Cancelled : JobState.Queued, now);

    /// <summary>Its trainer ended without a choice of its own.</summary>
    public void Crashed(string why, int most, DateTimeOffset now)
    {
        CrashesWithoutProgress++;
        if (State == JobState.Cancelling)
            Become(JobState.Cancelled, now);
        else if (CrashesWithoutProgress >= most)
            Fail($"{CrashesWithoutProgress} attempts in a row ended without progress. {why}", now);
        else
            Become(JobState.Queued, now);
    }

    /// <summary>The disk is full: another attempt would end the same way, so it waits for who makes room and resumes it.</summary>
    public void OutOfRoom(DateTimeOffset now)
    {
        if (State == JobState.Cancelling)
            Become(JobState.Cancelled, now);
        else
            Fail("The disk is full. Make room and resume the job: it goes on from its last checkpoint.", now);
    }

    /// <summary>It ended without a model.</summary>
    public void Fail(string why, DateTimeOffset now)
    {
        Error = why;
        Become(JobState.Failed, now);
    }

    /// <summary>Its model is in the registry.</summary>
    public void Succeed(string model, int version, string? decision, DateTimeOffset now)
    {
        (ModelName, ModelVersion, Decision, Error) = (model, version, decision, null);
        Become(JobState.Succeeded, now);
    }

    private void Become(JobState state, DateTimeOffset now)
    {
        State = state;
        Revision++;
        switch (state)
        {
            case JobState.Queued: QueuedAt = now; break;
            case JobState.Running: RunningAt = now; break;
            case JobState.Cancelling: CancellingAt = now; break;
            case JobState.Cancelled: CancelledAt = now; break;
            case JobState.Failed: FailedAt = now; break;
            case JobState.Succeeded: SucceededAt = now; break;
        }
        if (state is not (JobState.Running or JobState.Cancelling))
            (LeaseOwner, LeaseUntil, Stage, Rate, SecondsLeft) = (null, null, null, null, null);
    }

    private static string? Text(TrainingEvent e, string member) => e.Data.TryGetProperty(member, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static double? Number(TrainingEvent e, string member) => e.Data.TryGetProperty(member, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}
