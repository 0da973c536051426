namespace CaptionService.Api.Models;

/// <summary>One version of a model in the registry.</summary>
public sealed class ModelVersion
{
    /// <summary>Name of the model.</summary>
    public required string Name { get; init; }

    /// <summary>1, 2, 3, … within the name.</summary>
    public required int Version { get; init; }

    /// <summary>SHA-256 of its <c>model.json</c>.</summary>
    public required string Digest { get; init; }

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; init; }

    /// <summary>Dev scores (JSON).</summary>
    public required string Scores { get; set; }

    /// <summary>The job that made it; null when it was uploaded or shipped.</summary>
    public string? JobId { get; init; }

    /// <summary>The data set it was trained on.</summary>
    public string? DatasetId { get; init; }

    /// <summary>When it was registered.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Whether it answers for its name.</summary>
    public bool Active { get; set; }

    /// <summary>When it last became active.</summary>
    public DateTimeOffset? ActivatedAt { get; set; }

    /// <summary>Where the bundle is.</summary>
    public required string Folder { get; set; }
}
