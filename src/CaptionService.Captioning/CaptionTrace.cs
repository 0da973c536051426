using System.Diagnostics;

namespace CaptionService.Captioning;

/// <summary>Where the spans of captions come from. Without a listener none is made.</summary>
public static class CaptionTrace
{
    /// <summary>Name of the source.</summary>
    public const string SourceName = "CaptionService";

    /// <summary>One pass over a batch; it links the requests that it serves.</summary>
    public const string Batch = "caption.batch";

    /// <summary>A part of a batch in the encoder.</summary>
    public const string Encode = "caption.encode";

    /// <summary>A part of a batch in a decoder and its search.</summary>
    public const string Search = "caption.search";

    /// <summary>The source.</summary>
    public static ActivitySource Source { get; } = new(SourceName);
}
