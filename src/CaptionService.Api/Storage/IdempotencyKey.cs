namespace CaptionService.Api.Storage;

/// <summary>An <c>Idempotency-Key</c> that was used, and what came of it.</summary>
public sealed class IdempotencyKey
{
    /// <summary>The caller's key.</summary>
    public required string Key { get; init; }

    /// <summary>SHA-256 of the body it came with.</summary>
    public required string BodyDigest { get; init; }

    /// <summary>When it was first used.</summary>
    public required DateTimeOffset CreatedAt { get; set; }

    /// <summary>The job that was made; null while the first request is under way.</summary>
    public string? JobId { get; set; }
}
