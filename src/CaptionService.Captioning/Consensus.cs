using CaptionService.Captioning.Metrics;

namespace CaptionService.Captioning;

/// <summary>
/// Ranks the hypotheses of a photo by what they have in common with the others, the likelier ones counting for more: minimum
/// Bayes risk decoding (Kumar and Byrne 2004; for captions Devlin et al. 2015, arXiv:1505.04467). The likeliest sentence is
/// often one that fits every photo; the one that most others resemble is about this photo. So is one that resembles what people
/// can be expected to say of it (<see cref="ExpectedCider"/>), where the model knows that.
/// </summary>
/// <remarks>
/// With weight w = √p of each hypothesis, its own times 0.3, the agreement of a is the weighted mean of its similarity to all; similarity is the mean
/// over n = 1 to 4 of the share of common n-grams (Dice). To the agreement is added ten times what it can expect, a smaller number by as much. Where the best hypothesis' mean log-probability, over its words and end, is -0.4 or more,
/// the model is sure of what to say, as of photos it knows by heart; there its own order stays, since most others are blends of what it knows.
/// The four constants were chosen on the development splits of three languages.
/// </remarks>
internal static class Consensus
{
    private const double Sharpness = 0.5, Own = 0.3, Sure = -0.4, Expectation = 10;

    /// <summary>The best first, those that ended before the others.</summary>
    /// <param name="found">All hypotheses of a photo.</param>
    /// <param name="count">How many to return.</param>
    public static List<Hypothesis> Rank(List<Hypothesis> found, int count)
    {
        var ngrams = found.ConvertAll(hypothesis => Ngrams.Count(hypothesis.Words));
        double best = found.Count == 0 ? 0 : found.Max(hypothesis => hypothesis.LogProbability);
        bool sure = found.Count > 0 && found.Max(hypothesis => hypothesis.LogProbability / (hypothesis.Words.Length + 1)) >= Sure;
        double[] weights = [.. found.Select(hypothesis => Math.Exp(Sharpness * (hypothesis.LogProbability - best)))];
        return
        [
            .. found.Select((hypothesis, a) =>
            {
                double sum = Own * weights[a], total = sum;
                for (int b = 0; b < found.Count; b++)
                {
                    if (b == a)
                        continue;
                    sum += weights[b] * Similarity(ngrams[a], hypothesis.Words.Length, ngrams[b], found[b].Words.Length);
                    total += weights[b];
                }
                return hypothesis with { Agreement = sum / total };
            }).OrderByDescending(hypothesis => hypothesis.Ended).ThenByDescending(hypothesis => sure ? hypothesis.Score : hypothesis.Agreement + Expectation * hypothesis.Expected).Take(count),
        ];
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
