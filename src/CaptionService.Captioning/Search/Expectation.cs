namespace CaptionService.Captioning.Search;

/// <summary>What captions of some photos can expect, for one search of them: it leads the beams towards pairs of words that people would say, and ranks what they find.</summary>
/// <param name="Of">Of a photo, by its row, and a caption, as ids: the CIDEr, divided by 10, that it can expect.</param>
/// <param name="Pairs">Of a photo, by its row, and a word: which words after it are favoured, and by how much, as log-probability.</param>
/// <param name="PairCost">What every pair of words costs a beam, as log-probability: 0 up.</param>
/// <param name="Ranking">What counts in the order of what was found.</param>
public sealed record Expectation(Func<int, int[], double> Of, Func<int, int, IReadOnlyDictionary<int, float>> Pairs, float PairCost, RankingWeights Ranking);

/// <summary>What counts, beside the agreement of a photo's hypotheses, in their order.</summary>
/// <param name="Expected">What the expected CIDEr, divided by 10, is multiplied by: 0 up.</param>
/// <param name="WordCost">What is taken off for each word: 0 up.</param>
public readonly record struct RankingWeights(double Expected, double WordCost);
