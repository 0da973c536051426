using CaptionService.Captioning.Files;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;

namespace CaptionService.Captioning.Confidence;

/// <summary>Something known of a caption when it is written that may say whether it is right; a <see cref="Calibration"/> weighs
/// some.</summary>
/// <param name="Name">Its name in <c>calibration.json</c>.</param>
/// <param name="Meaning">What it is, for people.</param>
/// <param name="Of">Its value for the hypothesis of a rank (from 0) among all that were found for the photo.</param>
public sealed record ConfidenceFeature(string Name, string Meaning, Func<IReadOnlyList<RankedHypothesis>, int, double> Of)
{
    /// <summary>All there is.</summary>
    public static IReadOnlyList<ConfidenceFeature> All { get; } =
    [
        new("meanLogProbability", "Mean log-probability of the caption's words.", (found, rank) => found[rank].WordLogProbabilities.Average()),
        new("weakestWord", "Log-probability of its least likely word.", (found, rank) => found[rank].WordLogProbabilities.Min()),
        new("words", "Number of words (in Chinese and Japanese, characters).", (found, rank) => found[rank].Words.Length),
        new("wordsSquared", "Its square: captions of unusual length, short or long, are less often right.", (found, rank) => Math.Pow(found[rank].Words.Length, 2)),
        new("rarity", "Mean logarithm of the words' lines in vocabulary.txt, which the trainer orders by frequency.", (found, rank) => found[rank].Words.Average(word => Math.Log(word + 1))),
        new("expectedCider", "Root of the CIDEr that the caption can expect of people's, by what the photo shows; 0 in a model that expects nothing.", (found, rank) => Math.Sqrt(Math.Max(0, found[rank].Expected))),
        new("spread", "Entropy of the photo's hypotheses, their probabilities normalised: how undecided the search was.", (found, _) => Spread(found)),
    ];

    /// <summary>Finds one by its name.</summary>
    /// <exception cref="ModelBundleException">There is none.</exception>
    internal static ConfidenceFeature Find(string name) => All.FirstOrDefault(feature => feature.Name == name)
        ?? throw new ModelBundleException($"{Calibration.FileName} weighs '{(name.Length > 40 ? name[..40] + "…" : name)}'; known are {string.Join(", ", All.Select(feature => feature.Name))}.");

    private static double Spread(IReadOnlyList<Hypothesis> found)
    {
        double best = found.Max(h => h.LogProbability), sum = found.Sum(h => Math.Exp(h.LogProbability - best));
        return -found.Sum(h => Math.Exp(h.LogProbability - best) / sum * (h.LogProbability - best - Math.Log(sum)));
    }
}
