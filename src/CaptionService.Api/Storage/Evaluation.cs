namespace CaptionService.Api.Storage;

/// <summary>One evaluation, or comparison of two models.</summary>
public sealed class Evaluation
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>The model: name@version.</summary>
    public required string Model { get; init; }

    /// <summary>The other model of a comparison.</summary>
    public string? CompareModel { get; init; }

    /// <summary>The data set.</summary>
    public required string DatasetId { get; init; }

    /// <summary>train or dev.</summary>
    public required string Split { get; init; }

    /// <summary>Where it is in its life.</summary>
    public required EvaluationState State { get; set; }

    /// <summary>When it was asked for.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>What came out (JSON).</summary>
    public string? Result { get; set; }

    /// <summary>Why it failed.</summary>
    public string? Error { get; set; }
}
