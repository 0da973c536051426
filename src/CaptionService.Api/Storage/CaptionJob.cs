namespace CaptionService.Api.Storage;

/// <summary>One job that captions many photos, as the database has it. Its photos and results are in its folder; what may follow what is in its methods.</summary>
public sealed class CaptionJob
{
    /// <summary>Its id, and its folder's name.</summary>
    public required string Id { get; init; }

    /// <summary>archive, dataset or folder.</summary>
    public required string Source { get; init; }

    /// <summary>The data set that its photos are of.</summary>
    public string? DatasetId { get; init; }

    /// <summary>The server's folder that they are of, as the caller named it.</summary>
    public string? Folder { get; init; }

    /// <summary>The job whose folder lists the photos: this one, or the first of those it is compared with.</summary>
    public required string PhotosOf { get; init; }

    /// <summary>The job whose captions its own are compared with.</summary>
    public string? ComparesWith { get; init; }

    /// <summary>Options as they were given (JSON: text by name).</summary>
    public required string Options { get; init; }

    /// <summary>The models that caption, name@version, separated by commas: those that were active when it was asked for.</summary>
    public required string Models { get; init; }

    /// <summary>Where the job is.</summary>
    public JobState State { get; private set; } = JobState.Validating;

    /// <summary>When it was asked for.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When work on it last began.</summary>
    public DateTimeOffset? RunningAt { get; private set; }

    /// <summary>When it ended.</summary>
    public DateTimeOffset? EndedAt { get; private set; }

    /// <summary>Photos in all.</summary>
    public required int Photos { get; init; }

    /// <summary>Photos that have a result, a second ago or so: the results themselves are in the folder.</summary>
    public int Done { get; private set; }

    /// <summary>Those of them that have a problem instead of captions.</summary>
    public int Problems { get; private set; }

    /// <summary>Photos a second.</summary>
    public double? Rate { get; private set; }

    /// <summary>Why it failed.</summary>
    public string? Error { get; private set; }

    /// <summary>Counts the changes: of two that overlap, one is refused.</summary>
    public long Revision { get; private set; }

    /// <summary>Whether nothing more happens unless it is resumed.</summary>
    public bool Ended => State is JobState.Cancelled or JobState.Failed or JobState.Succeeded;

    /// <summary>The models one by one.</summary>
    public string[] AllModels => Models.Split(',');

    /// <summary>Its photos are there: it waits for its turn.</summary>
    public void Queue() => Become(JobState.Queued);

    /// <summary>The server that has the data folder works on it.</summary>
    public void Run(DateTimeOffset now)
    {
        Error = null;
        Become(State == JobState.Cancelling ? JobState.Cancelling : JobState.Running);
        RunningAt = now;
    }

    /// <summary>So far it is.</summary>
    public void Report(int done, int problems, double? rate)
    {
        (Done, Problems, Rate) = (done, problems, rate);
        Revision++;
    }

    /// <summary>Asked to end it.</summary>
    /// <exception cref="ProblemException">It has ended already.</exception>
    public void Cancel(DateTimeOffset now)
    {
        switch (State)
        {
            case JobState.Validating or JobState.Queued:
                End(JobState.Cancelled, now);
                break;
            case JobState.Running:
                Become(JobState.Cancelling);
                break;
            case JobState.Cancelling or JobState.Cancelled:
                break;      // asked again
            default:
                throw new ProblemException(ProblemTable.JobState, $"The job has {State.Name()} and cannot be cancelled.");
        }
    }

    /// <summary>Asked to go on with the photo after the last result.</summary>
    /// <exception cref="ProblemException">It has not ended, or has succeeded.</exception>
    public void Resume()
    {
        if (State is not (JobState.Cancelled or JobState.Failed))
            throw new ProblemException(ProblemTable.JobState, $"The job is {State.Name()}: only what was cancelled or has failed can be resumed.");
        (EndedAt, Error) = (null, null);
        Become(JobState.Queued);
    }

    /// <summary>Work on it stopped: cancelled where that was asked for, else back into the queue.</summary>
    public void Stopped(DateTimeOffset now)
    {
        if (State == JobState.Cancelling)
            End(JobState.Cancelled, now);
        else
            Become(JobState.Queued);
    }

    /// <summary>It cannot go on.</summary>
    public void Fail(string why, DateTimeOffset now)
    {
        Error = why;
        End(JobState.Failed, now);
    }

    /// <summary>Each photo has its result.</summary>
    public void Succeed(DateTimeOffset now) => End(JobState.Succeeded, now);

    private void End(JobState state, DateTimeOffset now)
    {
        EndedAt = now;
        Become(state);
    }

    private void Become(JobState state)
    {
        State = state;
        Revision++;
        if (state is JobState.Queued)
            Rate = null;
    }
}
