namespace CaptionService.Api.Storage;

/// <summary>Where a job is in its life.</summary>
public enum JobState
{
    /// <summary>What it works on is being looked at, or still comes.</summary>
    Validating,

    /// <summary>Waiting for its turn.</summary>
    Queued,

    /// <summary>It is worked on.</summary>
    Running,

    /// <summary>Its work is saved and stops.</summary>
    Cancelling,

    /// <summary>Stopped on request; can be resumed.</summary>
    Cancelled,

    /// <summary>Ended before its end; can be resumed.</summary>
    Failed,

    /// <summary>All is done.</summary>
    Succeeded,
}
