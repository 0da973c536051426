namespace CaptionService.Api.Storage;

/// <summary>A caption that someone corrected.</summary>
public sealed class FeedbackEntry
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>SHA-256 of the photo's file, in small hexadecimal digits. Where the photo was sent, the folder of feedback has a file of this name.</summary>
    public required string Photo { get; init; }

    /// <summary>The caption that was given; null where nobody says.</summary>
    public string? Given { get; set; }

    /// <summary>The right caption.</summary>
    public required string Caption { get; set; }

    /// <summary>Its language (BCP 47).</summary>
    public required string Language { get; set; }

    /// <summary>Who says so, as they call themselves.</summary>
    public string? Who { get; set; }

    /// <summary>The key that it came with; null where none was needed.</summary>
    public string? KeyId { get; init; }

    /// <summary>When it was sent.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it was changed last.</summary>
    public required DateTimeOffset ChangedAt { get; set; }
}
