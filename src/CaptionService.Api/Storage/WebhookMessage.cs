namespace CaptionService.Api.Storage;

/// <summary>Something that an address is to be told, until it has been.</summary>
public sealed class WebhookMessage
{
    /// <summary>Its id, the same however often it is sent.</summary>
    public required string Id { get; init; }

    /// <summary>The address.</summary>
    public required string Url { get; init; }

    /// <summary>What is sent (JSON).</summary>
    public required string Body { get; init; }

    /// <summary>When it happened.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it is to be sent, or sent again.</summary>
    public required DateTimeOffset NextAt { get; set; }

    /// <summary>How often it was sent in vain, each time with short repetitions.</summary>
    public int Attempts { get; set; }
}
