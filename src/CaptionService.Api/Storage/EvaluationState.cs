namespace CaptionService.Api.Storage;

/// <summary>Where an evaluation is in its life.</summary>
public enum EvaluationState
{
    /// <summary>It waits for its turn.</summary>
    Queued,

    /// <summary>Its trainer runs.</summary>
    Running,

    /// <summary>Its result is there.</summary>
    Succeeded,

    /// <summary>It ended without a result.</summary>
    Failed,
}
