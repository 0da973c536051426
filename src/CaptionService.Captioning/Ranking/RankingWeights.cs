namespace CaptionService.Captioning.Ranking;

/// <summary>What counts, beside the agreement of a photo's hypotheses, in their order.</summary>
/// <param name="Expected">What the expected CIDEr, divided by 10, is multiplied by: 0 up.</param>
/// <param name="WordCost">What is taken off for each word: 0 up.</param>
public readonly record struct RankingWeights(double Expected, double WordCost);
