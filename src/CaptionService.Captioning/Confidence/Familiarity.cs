using static TorchSharp.torch;

namespace CaptionService.Captioning.Confidence;

/// <summary>
/// How like the training photos a photo is, by the encoder's output: the logarithms of its channels' mean activations, and
/// their mean squared distance from the training photos' in standard deviations (Mahalanobis, diagonal).
/// A photo farther off than nearly all training photos that the means were not taken from is told by its p-value, the share
/// of those that are at least as far: what confidence it would have is multiplied by p / 0.01 where that is below 1.
/// </summary>
/// <remarks>
/// The logarithm makes it: a channel that is silent where it always says something counts as much as one that shouts, and
/// drawings, text, noise and plain colours are silent in most.
/// </remarks>
/// <param name="Photos">Training photos that the distances were taken of; the means and deviations are those of others.</param>
/// <param name="Means">Mean of each channel's <see cref="LogMeans"/>.</param>
/// <param name="Deviations">Their standard deviations.</param>
/// <param name="Tail">Distances of the 1 % of photos that are farthest off, rising.</param>
public sealed record Familiarity(int Photos, IReadOnlyList<double> Means, IReadOnlyList<double> Deviations, IReadOnlyList<double> Tail)
{
    /// <summary>The p-value below which confidence is lost.</summary>
    public const double Unfamiliar = 0.01;

    private const double Silent = 0.001;                // added to activations, which are 1 in order of magnitude
    private const double LeastDeviation = 0.05;         // of a channel that never changes

    /// <summary>Learns what is familiar.</summary>
    /// <param name="photos">Each training photo's <see cref="LogMeans"/>; those of even index give means and deviations, the others
    /// distances. At least 2.</param>
    public static Familiarity Learn(IReadOnlyList<double[]> photos)
    {
        double[][] known = [.. photos.Where((_, i) => i % 2 == 0)], others = [.. photos.Where((_, i) => i % 2 == 1)];
        var means = new double[known[0].Length];
        var deviations = new double[means.Length];
        for (int c = 0; c < means.Length; c++)
        {
            double mean = known.Average(photo => photo[c]);
            means[c] = Math.Round(mean, 3);
            deviations[c] = Math.Round(Math.Max(LeastDeviation, Math.Sqrt(known.Average(photo => (photo[c] - mean) * (photo[c] - mean)))), 3);
        }
        var learnt = new Familiarity(others.Length, means, deviations, []);
        int kept = Math.Max(1, (int)Math.Round(Unfamiliar * others.Length));
        return learnt with { Tail = [.. others.Select(photo => Math.Round(learnt.Distance(photo), 4)).OrderDescending().Take(kept).Reverse()] };
    }

    /// <summary>What photos are compared by.</summary>
    /// <param name="means">(N, F) float32, the photos' <see cref="Encoders.ChannelMeans"/>, on any device.</param>
    /// <returns>For each of N photos F logarithms.</returns>
    public static double[][] LogMeans(Tensor means)
    {
        using var scope = NewDisposeScope();
        return [.. means.cpu().contiguous().data<float>().ToArray().Chunk((int)means.shape[1]).Select(photo => Array.ConvertAll(photo, value => Math.Log(Math.Max(0, value) + Silent)))];
    }

    /// <summary>Mean squared distance in deviations: about 1 for a familiar photo.</summary>
    /// <param name="photo">Its <see cref="LogMeans"/>.</param>
    public double Distance(double[] photo)
    {
        double sum = 0;
        for (int c = 0; c < photo.Length; c++)
        {
            double difference = (photo[c] - Means[c]) / Deviations[c];
            sum += difference * difference;
        }
        return sum / photo.Length;
    }

    /// <summary>What the confidence is multiplied by: 1 for all but the unfamiliar, down to 1 / (1 + <see cref="Tail"/>'s length), never
    /// 0.</summary>
    /// <param name="photo">Its <see cref="LogMeans"/>.</param>
    public double Factor(double[] photo)
    {
        double distance = Distance(photo);
        return (1.0 + Tail.Count(other => other >= distance)) / (1 + Tail.Count);
    }
}
