using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Ranking;

/// <summary>A beam search and the order of what it finds.</summary>
/// <param name="Beams">The search; <see cref="BeamSearchOptions.Count"/> is the number of captions returned.</param>
/// <param name="ByRisk">Whether the search is guided and its hypotheses ranked by minimum Bayes risk (<see cref="MinimumBayesRisk"/>),
/// which
/// looks at all of the width; else they keep the order of their scores. With one group only.</param>
public sealed record RankedSearch(BeamSearchOptions Beams, bool ByRisk)
{
    /// <summary>The defaults for a language: ranked by minimum Bayes risk.</summary>
    public static RankedSearch For(Tokenizer tokenizer, Vocabulary vocabulary) => new(BeamSearchOptions.For(tokenizer, vocabulary), ByRisk: true);

    /// <summary>A search for hypotheses that differ (<see cref="BeamSearchOptions.Diverse"/>), in the order of their scores.</summary>
    /// <param name="diversity">0: this search, unchanged.</param>
    public RankedSearch Diverse(double diversity) => diversity == 0 ? this : new(Beams.Diverse(diversity), ByRisk: false);

    /// <summary>Searches and ranks.</summary>
    /// <param name="photos">Number of photos.</param>
    /// <param name="step">The decoder.</param>
    /// <param name="device">Where the decoder runs.</param>
    /// <param name="expectation">What the photos' captions can expect; null: nothing is known.</param>
    /// <returns>The hypotheses of each photo, best first, at most <see cref="BeamSearchOptions.Count"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public IReadOnlyList<RankedHypothesis>[] Run(int photos, DecodeStep step, Device device, Expectation? expectation = null)
    {
        Check();
        var found = BeamSearch.Search(photos, ByRisk ? Beams.ForAll() : Beams, step, device, ByRisk ? expectation?.Guide : null);
        return [.. found.Select(IReadOnlyList<RankedHypothesis> (hypotheses, photo) =>
        {
            RankedHypothesis[] ranked = [.. hypotheses.Select(hypothesis => new RankedHypothesis(hypothesis) { Expected = expectation?.Cider(photo, hypothesis.Words) ?? 0 })];
            return ByRisk ? MinimumBayesRisk.Rank(ranked, Beams.Count, expectation?.Weights ?? default) : ranked;
        })];
    }

    private void Check()
    {
        Beams.Check();
        if (ByRisk && Beams.Groups > 1)
            throw new ArgumentOutOfRangeException(nameof(Beams), Beams.Groups, "Groups must be 1 where the hypotheses are ranked by minimum Bayes risk.");
    }
}
