using CaptionService.Captioning.Metrics;

namespace CaptionService.Captioning.Ranking;

/// <summary>
/// Ranks the hypotheses of a photo by what they have in common with the others, the likelier ones counting for more: minimum
/// Bayes risk decoding (Kumar and Byrne 2004; for captions Devlin et al. 2015, arXiv:1505.04467). The likeliest sentence is
/// often one that fits every photo; the one that most others resemble is about this photo. So is one that resembles what people
/// can be expected to say of it (<see cref="ExpectedCider"/>), where the model knows that.
/// </summary>
/// <remarks>
/// With weight w = √p of each hypothesis, its own times 0.3, the agreement of a is the weighted mean of its similarity to all; similarity
/// is the mean
/// over n = 1 to 4 of the share of common n-grams (Dice). What it can expect and its length count beside as the model's
/// <see cref="RankingWeights"/> say.
/// Where nothing is expected and the best hypothesis' mean log-probability, over its words and end, is -0.4 or more,
/// the model is sure of what to say, as of the few photos it knows by heart; there its own order stays, since most others are blends of
/// what it knows.
/// The three constants were chosen on the development splits of three languages.
/// </remarks>
internal static class MinimumBayesRisk
{
    private const double Sharpness = 0.5, Own = 0.3, Sure = -0.4;

    /// <summary>The best first, those that ended before the others, with their agreement.</summary>
    /// <param name="found">All hypotheses of a photo.</param>
    /// <param name="count">How many to return.</param>
    /// <param name="weights">What else counts.</param>
    public static List<RankedHypothesis> Rank(IReadOnlyList<RankedHypothesis> found, int count, RankingWeights weights = default)
    {
        Dictionary<Ngram<int>, int>[] ngrams = [.. found.Select(hypothesis => Ngrams.Count(hypothesis.Words))];
        double best = found.Count == 0 ? 0 : found.Max(hypothesis => hypothesis.LogProbability);
        double[] votes = [.. found.Select(hypothesis => Math.Exp(Sharpness * (hypothesis.LogProbability - best)))];
        return Order([.. found.Select((hypothesis, a) =>
        {
            double sum = Own * votes[a], total = sum;
            for (int b = 0; b < found.Count; b++)
            {
                if (b == a)
                    continue;
                sum += votes[b] * Similarity(ngrams[a], hypothesis.Words.Length, ngrams[b], found[b].Words.Length);
                total += votes[b];
            }
            return hypothesis with { Agreement = sum / total };
        })], weights).GetRange(0, Math.Min(count, found.Count));
    }

    /// <summary>Orders hypotheses that have their agreement already by other weights.</summary>
    public static List<RankedHypothesis> Order(IReadOnlyList<RankedHypothesis> found, RankingWeights weights)
    {
        bool sure = weights.Expected == 0 && found.Any(hypothesis => hypothesis.LogProbability / (hypothesis.Words.Length + 1) >= Sure);
        return [.. found.OrderByDescending(hypothesis => hypothesis.Ended).ThenByDescending(hypothesis =>
            sure ? hypothesis.Score : hypothesis.Agreement + weights.Expected * hypothesis.Expected - weights.WordCost * hypothesis.Words.Length)];
    }

    private static double Similarity(Dictionary<Ngram<int>, int> one, int oneLength, Dictionary<Ngram<int>, int> other, int otherLength)
    {
        Span<int> common = stackalloc int[Ngram<int>.MaxLength];
        foreach (var (ngram, count) in one)
            common[ngram.Length - 1] += Math.Min(count, other.GetValueOrDefault(ngram));
        double sum = 0;
        for (int n = 1; n <= Ngram<int>.MaxLength; n++)
        {
            int possible = Math.Max(0, oneLength - n + 1) + Math.Max(0, otherLength - n + 1);
            sum += possible == 0 ? 0 : 2.0 * common[n - 1] / possible;
        }
        return sum / Ngram<int>.MaxLength;
    }
}
