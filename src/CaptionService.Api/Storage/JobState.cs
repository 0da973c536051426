namespace CaptionService.Api.Storage;

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
