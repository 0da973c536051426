namespace CaptionService.Api.Storage;

/// <summary>A server that runs, and which generation of the models it serves. It renews its row while it lives.</summary>
public sealed class Replica
{
    /// <summary>Identifies this run of the server.</summary>
    public required string Id { get; init; }

    /// <summary>Machine and process.</summary>
    public required string Name { get; init; }

    /// <summary>Generation of the models that it serves.</summary>
    public required long Generation { get; set; }

    /// <summary>Why it does not serve all of them; null: it does.</summary>
    public string? Problem { get; set; }

    /// <summary>When it was last heard of.</summary>
    public required DateTimeOffset SeenAt { get; set; }
}
