namespace CaptionService.Api.Storage;

/// <summary>One data set, as the database has it.</summary>
public sealed class Dataset
{
    /// <summary>Its id, and its folder's name.</summary>
    public required string Id { get; init; }

    /// <summary>What its owner calls it.</summary>
    public required string Name { get; set; }

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; set; }

    /// <summary>Where it is in its life.</summary>
    public required DatasetStatus Status { get; set; }

    /// <summary>When it was sent.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Photos that can be used.</summary>
    public int Photos { get; set; }

    /// <summary>Captions that can be used.</summary>
    public int Captions { get; set; }

    /// <summary>Photos to learn from.</summary>
    public int TrainPhotos { get; set; }

    /// <summary>Photos to choose by.</summary>
    public int DevPhotos { get; set; }

    /// <summary>Size on disk.</summary>
    public long Bytes { get; set; }

    /// <summary>The doctor's report (JSON).</summary>
    public string? Report { get; set; }

    /// <summary>Why it was refused.</summary>
    public string? Problem { get; set; }
}
