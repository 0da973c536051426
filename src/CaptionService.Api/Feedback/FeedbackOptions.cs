using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Feedback;

/// <summary>Settings of feedback: section <c>Feedback</c> of the configuration, or <c>Feedback__Name</c> in the environment.</summary>
public sealed class FeedbackOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Feedback";

    /// <summary>Whether corrections are kept, with the photos that are sent with them.</summary>
    public bool Enabled { get; init; }

    /// <summary>Most corrections kept: 1 to 1,000,000; beyond it they are refused.</summary>
    [Range(1, 1_000_000)]
    public int MaxEntries { get; init; } = 100_000;
}
