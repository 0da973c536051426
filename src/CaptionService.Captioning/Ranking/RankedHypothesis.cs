using CaptionService.Captioning.Search;

namespace CaptionService.Captioning.Ranking;

/// <summary>A hypothesis with what decides its rank beside its score.</summary>
public sealed record RankedHypothesis : Hypothesis
{
    /// <summary>A hypothesis that nothing is known of yet but what the search says.</summary>
    public RankedHypothesis(Hypothesis found) : base(found)
    {
    }

    /// <summary>How much it resembles the photo's other hypotheses, 0..1, where they are ranked by minimum Bayes risk; else 0.</summary>
    public double Agreement { get; init; }

    /// <summary>The CIDEr, divided by 10, that it can expect (<see cref="ExpectedCider.Of"/>); 0 where the model expects nothing.</summary>
    public double Expected { get; init; }
}
