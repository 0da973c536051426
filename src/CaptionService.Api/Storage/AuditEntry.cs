namespace CaptionService.Api.Storage;

/// <summary>One change of a model, job, data set or key: who did it, from where. Never a photo, a caption, a file's name or a key.</summary>
public sealed class AuditEntry
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>When it was done.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>The operation, as the OpenAPI document names it.</summary>
    public required string Action { get; init; }

    /// <summary>What was changed: its address.</summary>
    public required string Target { get; init; }

    /// <summary>The key's id; null where none was needed.</summary>
    public string? KeyId { get; init; }

    /// <summary>The key's name, or what else did it.</summary>
    public string? Who { get; init; }

    /// <summary>The address it came from; null from this machine's command line.</summary>
    public string? From { get; init; }
}
