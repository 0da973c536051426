namespace CaptionService.Captioning.Metrics;

/// <summary>
/// ROUGE-L (Lin 2004), equal to the public COCO caption evaluation (pycocoevalcap 1.2): the F-measure, with recall
/// weighted by β = 1.2, of the longest common subsequence's share of hypothesis and reference. Scores are 0 to 1.
/// </summary>
public static class RougeL
{
    private const double BetaSquared = 1.2 * 1.2;

    /// <summary>The score of one sentence; precision and recall are each the best over the references.</summary>
    /// <param name="hypothesis">Words or their ids.</param>
    /// <param name="references">At least one.</param>
    /// <exception cref="ArgumentException">There is no reference.</exception>
    public static double Score<T>(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references) where T : notnull
    {
        ArgumentNullException.ThrowIfNull(hypothesis);
        ArgumentNullException.ThrowIfNull(references);
        if (references.Count == 0)
            throw new ArgumentException("There is no reference.", nameof(references));
        double precision = 0, recall = 0;
        foreach (IReadOnlyList<T> reference in references)
        {
            double common = LongestCommonSubsequence(hypothesis, reference);
            if (common == 0)
                continue;
            precision = Math.Max(precision, common / hypothesis.Count);
            recall = Math.Max(recall, common / reference.Count);
        }
        return precision == 0 ? 0 : (1 + BetaSquared) * precision * recall / (recall + BetaSquared * precision);
    }

    private static int LongestCommonSubsequence<T>(IReadOnlyList<T> a, IReadOnlyList<T> b) where T : notnull
    {
        // Row by row: lengths[j] is the longest for the words of a so far and the first j of b.
        var lengths = new int[b.Count + 1];
        for (int i = 0; i < a.Count; i++)
        {
            int diagonal = 0;
            for (int j = 1; j <= b.Count; j++)
            {
                int above = lengths[j];
                lengths[j] = EqualityComparer<T>.Default.Equals(a[i], b[j - 1]) ? diagonal + 1 : Math.Max(above, lengths[j - 1]);
                diagonal = above;
            }
        }
        return lengths[b.Count];
    }
}
