namespace CaptionService.Captioning.Metrics;

/// <summary>How much better one model is than another on the same photos.</summary>
/// <param name="Difference">Mean over the photos of the first's score minus the second's.</param>
/// <param name="Low">Lower end of the 95 % interval of that mean.</param>
/// <param name="High">Upper end.</param>
public sealed record PairedDifference(double Difference, double Low, double High)
{
    /// <summary>Whether the whole interval lies above 0.</summary>
    public bool Better => Low > 0;

    /// <summary>Whether the whole interval lies below 0.</summary>
    public bool Worse => High < 0;
}

/// <summary>
/// The paired bootstrap (Efron and Tibshirani 1993; Koehn 2004 for translation): photos are drawn with replacement, both
/// models' scores of a photo together, so that what makes photos hard for both cancels out. The interval is the
/// percentiles' 2.5 to 97.5.
/// </summary>
public static class PairedBootstrap
{
    /// <summary>Resamples taken.</summary>
    public const int Resamples = 10_000;

    /// <summary>Compares scores of the same photos in the same order.</summary>
    /// <param name="first">A score for each photo.</param>
    /// <param name="second">As many.</param>
    /// <param name="seed">The same seed gives the same interval.</param>
    /// <exception cref="ArgumentException">Not as many scores, or none.</exception>
    public static PairedDifference Compare(IReadOnlyList<double> first, IReadOnlyList<double> second, int seed = 1)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count != second.Count || first.Count == 0)
            throw new ArgumentException($"{first.Count} and {second.Count} scores: as many of both are needed, and at least one.", nameof(second));
        double[] differences = [.. first.Zip(second, (a, b) => a - b)];
        var random = new Random(seed);
        var means = new double[Resamples];
        for (int r = 0; r < Resamples; r++)
        {
            double sum = 0;
            for (int i = 0; i < differences.Length; i++)
                sum += differences[random.Next(differences.Length)];
            means[r] = sum / differences.Length;
        }
        Array.Sort(means);
        return new PairedDifference(differences.Average(), Percentile(means, 0.025), Percentile(means, 0.975));
    }

    /// <summary>Between the two neighbours in rank, linearly.</summary>
    private static double Percentile(double[] sorted, double share)
    {
        double rank = share * (sorted.Length - 1);
        int below = (int)rank;
        return below + 1 == sorted.Length ? sorted[below] : sorted[below] + (rank - below) * (sorted[below + 1] - sorted[below]);
    }
}
