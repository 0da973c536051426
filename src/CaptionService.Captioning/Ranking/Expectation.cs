using CaptionService.Captioning.Search;

namespace CaptionService.Captioning.Ranking;

/// <summary>What captions of some photos can expect, for one search: it guides the beams and ranks what they find.</summary>
/// <param name="Guide">Guides the beams towards pairs of words that people would say.</param>
/// <param name="Cider">The CIDEr, divided by 10, that a caption can expect, for a photo by its row and a caption as ids.</param>
/// <param name="Weights">What counts in the order of what was found.</param>
public sealed record Expectation(Guide Guide, Func<int, int[], double> Cider, RankingWeights Weights);
