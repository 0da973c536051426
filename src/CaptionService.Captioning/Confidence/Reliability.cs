namespace CaptionService.Captioning.Confidence;

/// <summary>Some predictions of similar confidence.</summary>
/// <param name="Count">How many.</param>
/// <param name="Confidence">Their mean confidence.</param>
/// <param name="Right">Share of them that was right.</param>
public sealed record ReliabilityBin(int Count, double Confidence, double Right);

/// <summary>What remains when only predictions from a confidence on are kept.</summary>
/// <param name="From">The lowest confidence that is kept.</param>
/// <param name="Coverage">Share of all predictions kept, 0..1.</param>
/// <param name="Right">Share of those that was right; null when none is kept.</param>
public sealed record CoverageRow(double From, double Coverage, double? Right);

/// <summary>A statement that is made with a confidence, and whether it was true.</summary>
/// <param name="Group">What it depends on: statements of one group are drawn together. 0 up.</param>
/// <param name="Confidence">0..1.</param>
/// <param name="Right">Whether it was true.</param>
public readonly record struct Prediction(int Group, double Confidence, bool Right);

/// <summary>How far confidences can be taken at their word (Guo et al. 2017, arXiv:1706.04599) and how well they tell right from
/// wrong.</summary>
public static class Reliability
{
    /// <summary>Bins of the calibration error.</summary>
    public const int DefaultBins = 15;

    /// <summary>Resamples and simulations taken.</summary>
    public const int Draws = 1000;

    /// <summary>The predictions by rising confidence, cut into parts of equal size (to within one).</summary>
    /// <returns>At most <paramref name="bins"/>; fewer when there are fewer predictions.</returns>
    public static IReadOnlyList<ReliabilityBin> Bins(IReadOnlyList<Prediction> predictions, int bins = DefaultBins) =>
        Bins(Check([.. predictions.OrderBy(p => p.Confidence)]), bins);

    /// <summary>Expected calibration error: over bins of equal size, the mean distance between confidence and share right, weighted by
    /// size. 0..1.</summary>
    /// <exception cref="ArgumentException">There is no prediction.</exception>
    public static double Ece(IReadOnlyList<Prediction> predictions, int bins = DefaultBins) => Ece(Check([.. predictions.OrderBy(p => p.Confidence)]), bins);

    /// <summary>Mean squared distance between confidence and what was so, 0..1.</summary>
    /// <exception cref="ArgumentException">There is no prediction.</exception>
    public static double Brier(IReadOnlyList<Prediction> predictions) => Check([.. predictions]).Average(p => Math.Pow((p.Right ? 1 : 0) - p.Confidence, 2));

    /// <summary>Probability that a right prediction has a higher confidence than a wrong one, equal ones counted half; 0.5 is
    /// chance.</summary>
    /// <exception cref="ArgumentException">All are right, or all are wrong.</exception>
    public static double Auroc(IReadOnlyList<Prediction> predictions)
    {
        Prediction[] sorted = [.. predictions.OrderBy(p => p.Confidence)];
        double ranks = 0;
        long right = 0;
        for (int start = 0, end; start < sorted.Length; start = end)
        {
            for (end = start; end < sorted.Length && sorted[end].Confidence == sorted[start].Confidence; end++)
                right += sorted[end].Right ? 1 : 0;
            ranks += sorted[start..end].Count(p => p.Right) * (start + end + 1) / 2.0;      // equal ones share the mean of their ranks
        }
        long wrong = sorted.Length - right;
        return right > 0 && wrong > 0
            ? (ranks - right * (right + 1) / 2.0) / right / wrong
            : throw new ArgumentException("Right and wrong predictions are needed.", nameof(predictions));
    }

    /// <summary>What each threshold keeps, and how much of that is right.</summary>
    /// <exception cref="ArgumentException">There is no prediction.</exception>
    public static IReadOnlyList<CoverageRow> Coverage(IReadOnlyList<Prediction> predictions, IReadOnlyList<double> thresholds)
    {
        var all = Check([.. predictions]);
        return [.. thresholds.Select(from =>
        {
            int kept = all.Count(p => p.Confidence >= from), right = all.Count(p => p.Confidence >= from && p.Right);
            return new CoverageRow(from, (double)kept / all.Length, kept == 0 ? null : (double)right / kept);
        })];
    }

    /// <summary>
    /// The 2.5 and 97.5 percentiles of the error over resamples of the groups with replacement, moved so that the resamples'
    /// mean is the error itself: resampling adds noise, and noise only adds to the error. Not below 0.
    /// </summary>
    /// <param name="predictions">At least one.</param>
    /// <param name="seed">The same seed gives the same interval.</param>
    /// <param name="bins">Bins of the error.</param>
    public static (double Low, double High) EceInterval(IReadOnlyList<Prediction> predictions, int seed = 1, int bins = DefaultBins)
    {
        Prediction[] sorted = Check([.. predictions.OrderBy(p => p.Confidence)]);
        int[] groups = [.. sorted.Select(p => p.Group).Distinct()];
        var times = new int[groups.Max() + 1];
        var random = new Random(seed);
        var errors = new double[Draws];
        var drawn = new List<Prediction>(sorted.Length);
        for (int draw = 0; draw < Draws; draw++)
        {
            Array.Clear(times);
            for (int i = 0; i < groups.Length; i++)
                times[groups[random.Next(groups.Length)]]++;
            drawn.Clear();
            foreach (var prediction in sorted)          // stays in order
            {
                for (int i = 0; i < times[prediction.Group]; i++)
                    drawn.Add(prediction);
            }
            errors[draw] = Ece([.. drawn], bins);
        }
        Array.Sort(errors);
        double added = errors.Average() - Ece(sorted, bins);
        return (Math.Max(0, errors[(int)(0.025 * (Draws - 1))] - added), Math.Max(0, errors[(int)Math.Ceiling(0.975 * (Draws - 1))] - added));
    }

    /// <summary>
    /// The error that perfectly calibrated confidences show on as many predictions, which is not 0: the mean over simulations
    /// in which every prediction is right with its confidence's probability.
    /// </summary>
    /// <param name="predictions">At least one; which were right does not matter.</param>
    /// <param name="together">Whether those of a group are right or wrong together (one draw decides all of them) instead of each by
    /// itself.
    /// The truth lies between the two.</param>
    /// <param name="seed">The same seed gives the same figure.</param>
    /// <param name="bins">Bins of the error.</param>
    public static double PerfectEce(IReadOnlyList<Prediction> predictions, bool together, int seed = 1, int bins = DefaultBins)
    {
        Prediction[] sorted = Check([.. predictions.OrderBy(p => p.Confidence)]);
        var draws = new double[sorted.Max(p => p.Group) + 1];
        var random = new Random(seed);
        double sum = 0;
        for (int draw = 0; draw < Draws; draw++)
        {
            for (int i = 0; i < draws.Length; i++)
                draws[i] = random.NextDouble();
            sum += Ece(Array.ConvertAll(sorted, p => p with { Right = (together ? draws[p.Group] : random.NextDouble()) < p.Confidence }), bins);
        }
        return sum / Draws;
    }

    private static double Ece(Prediction[] sorted, int bins) => Bins(sorted, bins).Sum(bin => bin.Count * Math.Abs(bin.Confidence - bin.Right)) / sorted.Length;

    private static List<ReliabilityBin> Bins(Prediction[] sorted, int bins)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bins, 1);
        var result = new List<ReliabilityBin>(bins);
        for (int bin = 0; bin < bins; bin++)
        {
            int start = (int)((long)bin * sorted.Length / bins), end = (int)((bin + 1L) * sorted.Length / bins);
            double confidence = 0;
            int right = 0;
            for (int i = start; i < end; i++)
            {
                confidence += sorted[i].Confidence;
                right += sorted[i].Right ? 1 : 0;
            }
            if (end > start)
                result.Add(new ReliabilityBin(end - start, confidence / (end - start), (double)right / (end - start)));
        }
        return result;
    }

    private static Prediction[] Check(Prediction[] predictions) =>
        predictions.Length > 0 ? predictions : throw new ArgumentException("There is no prediction.", nameof(predictions));
}
