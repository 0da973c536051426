namespace CaptionService.Captioning.Metrics;

/// <summary>
/// BLEU-1 to BLEU-4 (Papineni et al. 2002), equal to the public COCO caption evaluation (pycocoevalcap 1.2): clipped
/// n-gram precisions, their geometric mean, and the brevity penalty against the reference closest in length.
/// </summary>
/// <remarks>Tokens are words or their ids. Scores are 0 to 1, never quite 0 or 1 because of that code's two constants.</remarks>
public static class Bleu
{
    // A sum of nothing stays near 0, and a division by nothing is avoided, as in the code that is matched.
    private const double Tiny = 1e-15, Small = 1e-9;

    /// <summary>BLEU of a whole set: counts and lengths are summed before they are divided.</summary>
    /// <param name="hypotheses">One sentence for each photo.</param>
    /// <param name="references">Each photo's references, at least one, in the order of the hypotheses.</param>
    /// <returns>BLEU-1, BLEU-2, BLEU-3 and BLEU-4.</returns>
    /// <exception cref="ArgumentException">The two differ in number, or a photo has no reference.</exception>
    public static double[] Corpus<T>(IReadOnlyList<IReadOnlyList<T>> hypotheses, IReadOnlyList<IReadOnlyList<IReadOnlyList<T>>> references)
        where T : notnull
    {
        ArgumentNullException.ThrowIfNull(hypotheses);
        ArgumentNullException.ThrowIfNull(references);
        if (hypotheses.Count != references.Count)
            throw new ArgumentException($"{hypotheses.Count} hypotheses cannot be scored against the references of {references.Count} photos.", nameof(references));
        var total = new Counts();
        for (int i = 0; i < hypotheses.Count; i++)
            total.Add(hypotheses[i], references[i]);
        return total.Scores();
    }

    /// <summary>BLEU of one sentence.</summary>
    /// <returns>BLEU-1, BLEU-2, BLEU-3 and BLEU-4.</returns>
    /// <exception cref="ArgumentException">There is no reference.</exception>
    public static double[] Sentence<T>(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references) where T : notnull =>
        Corpus([hypothesis], [references]);

    /// <summary>Length of the reference closest in length, of two equally close ones the shorter: what the brevity penalty compares
    /// with.</summary>
    internal static int ClosestLength<T>(int length, IReadOnlyList<IReadOnlyList<T>> references) =>
        references.Select(r => r.Count).MinBy(count => (Math.Abs(count - length), count));

    private sealed class Counts
    {
        private readonly long[] matched = new long[4], possible = new long[4]; // by n-gram length - 1
        private long length, referenceLength;

        public void Add<T>(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references) where T : notnull
        {
            if (references.Count == 0)
                throw new ArgumentException("A photo has no reference.", nameof(references));
            var most = new Dictionary<Ngram<T>, int>();
            foreach (IReadOnlyList<T> reference in references)
            {
                foreach ((Ngram<T> ngram, int count) in Ngrams.Count(reference))
                    most[ngram] = Math.Max(most.GetValueOrDefault(ngram), count);
            }
            foreach ((Ngram<T> ngram, int count) in Ngrams.Count(hypothesis))
                matched[ngram.Length - 1] += Math.Min(count, most.GetValueOrDefault(ngram));
            for (int n = 1; n <= possible.Length; n++)
                possible[n - 1] += Math.Max(0, hypothesis.Count - n + 1);
            length += hypothesis.Count;
            referenceLength += ClosestLength(hypothesis.Count, references);
        }

        public double[] Scores()
        {
            double ratio = (length + Tiny) / (referenceLength + Small);
            double brevity = ratio < 1 ? Math.Exp(1 - 1 / ratio) : 1;
            var scores = new double[possible.Length];
            double product = 1;
            for (int i = 0; i < scores.Length; i++)
            {
                product *= (matched[i] + Tiny) / (possible[i] + Small);
                scores[i] = Math.Pow(product, 1.0 / (i + 1)) * brevity;
            }
            return scores;
        }
    }
}
