namespace CaptionService.Api.Storage;

/// <summary>One version of a model in the registry.</summary>
public sealed class ModelVersion
{
    /// <summary>Name of the model.</summary>
    public required string Name { get; init; }

    /// <summary>1, 2, 3, … within the name; never given twice.</summary>
    public required int Version { get; init; }

    /// <summary>SHA-256 of its <c>model.json</c>.</summary>
    public required string Digest { get; set; }

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; set; }

    /// <summary>Dev scores (JSON).</summary>
    public required string Scores { get; set; }

    /// <summary>The text of its <c>model.json</c>.</summary>
    public required string Card { get; set; }

    /// <summary>The job that made it; null when it was uploaded or shipped.</summary>
    public string? JobId { get; init; }

    /// <summary>The data set it was trained on.</summary>
    public string? DatasetId { get; init; }

    /// <summary>When it was registered.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Whether it answers for its language. At most one of a language does.</summary>
    public bool Active { get; set; }

    /// <summary>When it last became active; null when never, or when it was rolled back.</summary>
    public DateTimeOffset? ActivatedAt { get; set; }

    /// <summary>Where the bundle is, below the folder of models; empty for the one that configuration names.</summary>
    public required string Folder { get; set; }

    /// <summary>When it was deleted: the number stays taken.</summary>
    public DateTimeOffset? DeletedAt { get; set; }
}
