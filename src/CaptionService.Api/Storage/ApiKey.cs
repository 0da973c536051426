namespace CaptionService.Api.Storage;

/// <summary>A key that callers show. Its text is nowhere: only a salted hash of it.</summary>
public sealed class ApiKey
{
    /// <summary>Its id, which is also the first part of its text.</summary>
    public required string Id { get; init; }

    /// <summary>Whose it is, or what for.</summary>
    public required string Name { get; init; }

    /// <summary>What it allows.</summary>
    public required Scope Scope { get; init; }

    /// <summary>Salt and SHA-256 of salt and text.</summary>
    public required string Hash { get; init; }

    /// <summary>When it was made.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it ends; null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>When it was last shown, to a minute.</summary>
    public DateTimeOffset? LastUsedAt { get; set; }

    /// <summary>When it was revoked. The row stays: where there has been a key, one is needed.</summary>
    public DateTimeOffset? RevokedAt { get; set; }

    /// <summary>Whether it opens anything at a time.</summary>
    public bool IsValid(DateTimeOffset now) => RevokedAt is null && (ExpiresAt is null || now < ExpiresAt);
}
