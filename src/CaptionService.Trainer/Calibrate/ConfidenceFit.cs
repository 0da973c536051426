using System.Security.Cryptography;
using System.Text;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Metrics;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;

namespace CaptionService.Trainer.Calibrate;

/// <summary>
/// Fits a model's confidence to its development captions: a caption is right if it is as close to the human ones as the median human
/// caption is to the others.
/// </summary>
/// <remarks>
/// The photos fall into two halves by a digest of their names. A regression is fitted to each half and checked on the other; what
/// the bundle gets is fitted to both, since twice the photos is half the error of its coefficients.
/// </remarks>
internal static class ConfidenceFit
{
    /// <summary>Fewest development photos with two or more human captions.</summary>
    internal const int MinPhotos = 200;

    /// <summary>Fewest right captions, and fewest wrong ones, in each half.</summary>
    internal const int MinOfEach = 20;

    /// <summary>Fewest training photos for the familiarity.</summary>
    internal const int MinTrainPhotos = 100;

    // The captions of a photo resemble each other, so their number overstates what is known; by cross-validated likelihood.
    private const double Ridge = 10;

    private const int MaxTrainPhotos = 8000;            // more tell nothing new of 512 means
    private const int Batch = 50;

    private static readonly double[] s_thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    /// <summary>Why a data set is too small for a calibration; null where it is not.</summary>
    public static string? TooFew(Dataset dataset)
    {
        int photos = dataset.Dev.Count(photo => photo.Captions.Count >= 2);
        return photos < MinPhotos ? $"A calibration needs {MinPhotos} development photos with two or more human captions each; there are {photos}."
            : dataset.Train.Count < MinTrainPhotos ? $"A calibration needs {MinTrainPhotos} training photos to know which photos are familiar; there are {dataset.Train.Count}."
            : null;
    }

    /// <summary>Fits the confidence of the captions that were searched.</summary>
    /// <returns>The calibration, or why there is none.</returns>
    public static (Calibration? Calibration, string? Why) Fit(DevCaptions written, Dataset dataset, FeatureSource train, FeatureSource dev, CancellationToken stop)
    {
        int step = (dataset.Train.Count + MaxTrainPhotos - 1) / MaxTrainPhotos;
        var familiarity = Familiarity.Learn(LogMeans(train, [.. Enumerable.Range(0, dataset.Train.Count).Where(i => i % step == 0)], stop));
        double[] factors = [.. LogMeans(dev, [.. Enumerable.Range(0, dataset.Dev.Count)], stop).Select(familiarity.Factor)];
        JudgedCaption[] captions = [.. written.Judged(dataset)];
        foreach (bool first in (bool[])[true, false])
        {
            int right = captions.Count(c => c.First == first && c.Right), wrong = captions.Count(c => c.First == first && !c.Right);
            if (Math.Min(right, wrong) < MinOfEach)
                return (null, $"A calibration needs {MinOfEach} captions as close as the median human one, and {MinOfEach} that are not, in each half of the development split; one has {right} and {wrong}.");
        }
        return (Fit(captions, factors, familiarity, new CalibratedSearch(written.Options.Beams.Width, written.Options.Beams.MaxLength, written.Options.Beams.LengthNormalization), SourceOf), null);

        string SourceOf(int photo) => dataset.SourcesOf("dev").First(source => source.Rows.Start.Value <= photo && photo < source.Rows.End.GetOffset(dataset.Dev.Count)).Name;
    }

    /// <summary>Fits and checks.</summary>
    /// <param name="captions">Both halves, with right and wrong captions in each.</param>
    /// <param name="factors">Each photo's familiarity.</param>
    /// <param name="familiarity">What they come from.</param>
    /// <param name="search">What the captions come from.</param>
    /// <param name="sourceOf">The name of a photo's source; null: all are of one.</param>
    internal static Calibration Fit(IReadOnlyList<JudgedCaption> captions, double[] factors, Familiarity familiarity, CalibratedSearch search, Func<int, string>? sourceOf = null)
    {
        JudgedCaption[] first = [.. captions.Where(c => c.First)], second = [.. captions.Where(c => !c.First)];
        var ofFirst = Regress(first);
        Prediction[] onSecond = Predict(ofFirst, second), onFirst = Predict(Regress(second), first);
        Prediction[] crosswise = [.. onFirst, .. onSecond];
        var sources = sourceOf is null ? [] : crosswise.GroupBy(prediction => sourceOf(prediction.Group)).ToArray();
        return Regress(captions) with
        {
            Check = Checked(onSecond),
            CrossCheck = Checked(crosswise),
            Sources = sources.Length < 2 ? null : sources.ToDictionary(source => source.Key, source => Checked([.. source])),
        };

        Prediction[] Predict(Calibration calibration, JudgedCaption[] some) =>
            [.. some.Select(c => new Prediction(c.Photo, calibration.Confidences(c.Found, factors[c.Photo])[c.Rank], c.Right))];

        Calibration Regress(IReadOnlyList<JudgedCaption> some)
        {
            var features = ConfidenceFeature.All.Select(evidence =>
            {
                double[] values = [.. some.Select(c => evidence.Of(c.Found, c.Rank))];
                double mean = values.Average();
                return (Values: values, Mean: mean, Deviation: Math.Max(1e-3, Math.Sqrt(values.Average(v => (v - mean) * (v - mean)))));
            }).ToArray();
            double[][] rows = [.. some.Select((_, row) => Array.ConvertAll(features, f => (f.Values[row] - f.Mean) / f.Deviation))];
            var (intercept, weights) = LogisticRegression.Fit(rows, [.. some.Select(c => c.Right)], Ridge);
            return new Calibration(Calibration.Meaning, search, Math.Round(intercept, 5),
                [.. ConfidenceFeature.All.Select((evidence, i) => new CalibratedFeature(evidence.Name, Math.Round(features[i].Mean, 5), Math.Round(features[i].Deviation, 5), Math.Round(weights[i], 5)))],
                new FittedTo(some.Select(c => c.Photo).Distinct().Count(), some.Count, Math.Round(some.Average(c => c.Right ? 1.0 : 0), 4)), null!, null!, familiarity);
        }
    }

    private static CalibrationCheck Checked(Prediction[] predictions)
    {
        var (low, high) = Reliability.EceInterval(predictions);
        return new CalibrationCheck(predictions.Select(p => p.Group).Distinct().Count(), predictions.Length, Rounded(predictions.Average(p => p.Right ? 1.0 : 0)),
            Rounded(Reliability.Ece(predictions)), Rounded(low), Rounded(high), Rounded(Reliability.PerfectEce(predictions, together: false)), Rounded(Reliability.PerfectEce(predictions, together: true)),
            Rounded(Reliability.Brier(predictions)), Rounded(Reliability.Auroc(predictions)),
            [.. Reliability.Bins(predictions).Select(bin => new ReliabilityBin(bin.Count, Rounded(bin.Confidence), Rounded(bin.Right)))],
            [.. Reliability.Coverage(predictions, s_thresholds).Select(row => new CoverageRow(row.From, Rounded(row.Coverage), row.Right is { } right ? Rounded(right) : null))]);

        static double Rounded(double value) => Math.Round(value, 4);
    }

    /// <summary>The median of the human captions' CIDEr-D, each scored against the others.</summary>
    internal static double MedianHuman(Cider<string> cider, string[][] captions)
    {
        double[] scores = [.. captions.Select((caption, i) => cider.Score(caption, [.. captions[..i], .. captions[(i + 1)..]])).Order()];
        return (scores[(scores.Length - 1) / 2] + scores[scores.Length / 2]) / 2;
    }

    /// <summary>Whether a photo is of the first half; its name alone decides.</summary>
    internal static bool InFirstHalf(string name) => SHA256.HashData(Encoding.UTF8.GetBytes(name))[0] % 2 == 0;

    private static List<double[]> LogMeans(FeatureSource features, int[] rows, CancellationToken stop)
    {
        var result = new List<double[]>(rows.Length);
        foreach (int[] some in rows.Chunk(Batch))
        {
            stop.ThrowIfCancellationRequested();
            using var photos = features.Rows(some);
            using var means = ChannelMeans.Of(photos);
            result.AddRange(Familiarity.LogMeans(means));
        }
        return result;
    }
}
