using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using System.Text;
using CaptionService.Captioning;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using TorchSharp;

namespace CaptionService.Trainer;

/// <summary>
/// What is fitted to a finished model. First what people can be expected to say of a photo (<see cref="ExpectedCiderFit"/>), kept where captions ranked by it are better.
/// Then its confidence, on its development split: captions each photo as the service does by default, sees which captions are as close
/// to the human ones as the median human caption is to the others, and fits the confidence to that.
/// </summary>
/// <remarks>
/// The photos fall into two halves by a digest of their names. A regression is fitted to each half and checked on the other; what
/// the bundle gets is fitted to both, since twice the photos is half the error of its coefficients.
/// </remarks>
internal static class Calibrator
{
    /// <summary>Fewest development photos with two or more human captions.</summary>
    internal const int MinPhotos = 200;

    /// <summary>Fewest right captions, and fewest wrong ones, in each half.</summary>
    internal const int MinOfEach = 20;

    /// <summary>Fewest development photos to see whether captions are ranked better.</summary>
    internal const int MinRankedPhotos = 100;

    /// <summary>Fewest training photos for the familiarity.</summary>
    internal const int MinTrainPhotos = 100;

    // The captions of a photo resemble each other, so their number overstates what is known; by cross-validated likelihood.
    private const double Ridge = 10;

    private const int MaxTrainPhotos = 8000;            // more tell nothing new of 512 means
    private const int Batch = 50;

    private static readonly double[] s_thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    /// <summary>One caption of a photo.</summary>
    /// <param name="Photo">Which photo.</param>
    /// <param name="First">Whether the photo is of the first half.</param>
    /// <param name="Found">All hypotheses of the photo.</param>
    /// <param name="Rank">Which of them it is, from 0.</param>
    /// <param name="Right">Whether it is as close as the median human caption.</param>
    internal sealed record Judged(int Photo, bool First, IReadOnlyList<RankedHypothesis> Found, int Rank, bool Right);

    /// <summary>The <c>calibrate</c> verb.</summary>
    public static int Run(string modelFolder, string jobFile, string[] options, Progress progress, CancellationToken stop)
    {
        string? svg = null;
        string output = modelFolder;
        bool int8 = options.Contains("--int8");
        options = [.. options.Where(option => option != "--int8")];
        for (int i = 0; i < options.Length; i += 2)
        {
            string value = i + 1 < options.Length ? options[i + 1] : throw new ValidationException($"{options[i]} needs a value.");
            switch (options[i])
            {
                case "--out": output = value; break;
                case "--svg": svg = value; break;
                default: throw new ValidationException($"Unknown option {options[i]}.");
            }
        }
        var job = Program.ReadJob(jobFile);
        string root = Path.GetDirectoryName(Path.GetFullPath(jobFile))!, cache = Path.Combine(root, job.Features);
        var dataset = Dataset.Load(job.Data, root);
        PhotoEncoding encoding;
        using (var bundle = ModelBundle.Load(modelFolder))
        {
            if (!Tokenizer.SameLanguage(bundle.Card.Language, job.Language))
                throw new DatasetException($"The model writes '{bundle.Card.Language}', the captions are '{job.Language}'.");
            encoding = PhotoEncoding.Of(bundle);
        }
        if (int8)
        {
            BundleWriter.SaveInt8(modelFolder, output);
            modelFolder = output;           // what is fitted is fitted to the weights as they are stored
        }
        using var train = TrainingViews.Open(dataset, cache, encoding, job.Options, progress, stop);
        using var dev = FeatureSource.Open(dataset, dataset.Dev, cache, encoding, PhotoView.Upright, progress, stop);
        var (card, calibration) = Apply(modelFolder, output, dataset, train.All, dev, job.Options.Seed, progress, stop);
        if (calibration is null)
        {
            Console.WriteLine($"{card.Name}: no calibration. {card.Uncalibrated}");
            return TrainerExit.Succeeded;
        }
        if (svg is not null)
            File.WriteAllText(svg, ReliabilityDiagram.Draw($"{card.Name} {card.Version}", calibration.CrossCheck));
        Console.WriteLine($"{card.Name}@{card.Version}, digest {card.Digest}");
        foreach (var (name, check) in new[] { ("other half", calibration.Check), ("both halves, crosswise", calibration.CrossCheck) }.Concat(calibration.Sources?.Select(source => ($"{source.Key}, crosswise", source.Value)) ?? []))
        {
            Console.WriteLine(FormattableString.Invariant($"{name}: {check.Photos} photos, {check.Captions} captions, {100 * check.Right:F1} % right; ECE {check.Ece:F4} [{check.EceLow:F4}, {check.EceHigh:F4}], perfect confidences show {check.PerfectEce:F4} to {check.PerfectEceTogether:F4}; Brier {check.Brier:F4}; AUROC {check.Auroc:F3}"));
            foreach (var row in check.Coverage.Where(row => row.Right is not null))
                Console.WriteLine(FormattableString.Invariant($"  {row.From:F1} or more: {100 * row.Coverage,5:F1} % of the captions, {100 * row.Right:F1} % of them right"));
        }
        return TrainerExit.Succeeded;
    }

    /// <summary>Fits a saved bundle's ranking and confidence and saves it again with them, or with the reason why there is no confidence.</summary>
    /// <param name="from">The bundle.</param>
    /// <param name="folder">Where to save it; may be the same.</param>
    /// <param name="dataset">What it was trained on.</param>
    /// <param name="train">Features of the training photos in each view, as they are first.</param>
    /// <param name="dev">Features of the development photos.</param>
    /// <param name="seed">Of what is drawn.</param>
    /// <param name="progress">Told of each batch.</param>
    /// <param name="stop">Ends it after the batch under way.</param>
    public static (ModelCard Card, Calibration? Calibration) Apply(string from, string folder, Dataset dataset, IReadOnlyList<FeatureSource> train, FeatureSource dev, long seed, Progress progress, CancellationToken stop)
    {
        string? why = TooFew(dataset);
        bool ranked = dataset.Train.Count >= ExpectedCiderFit.MinPhotos && dataset.Dev.Count >= MinRankedPhotos;
        Calibration? calibration = null;
        ExpectedCider? expected = null;
        try
        {
            if (why is null || ranked)
            {
                using var bundle = ModelBundle.Load(from);
                var written = new DevCaptions(bundle, dataset);
                if (ranked)
                    expected = ExpectedCiderFit.Fit(written.TrainIds, train, bundle.Decoder.Options, seed, progress, stop);
                written.Search(dev, null, progress, stop);
                if (expected is not null)
                {
                    double without = written.Cider();
                    var plain = written.Found;
                    written.Search(dev, expected, progress, stop);
                    expected.Ranking = written.Weigh();
                    double with = written.Cider();
                    string kept = with > without ? FormattableString.Invariant($"what is expected counts {expected.Ranking.Expected} times, a word costs {expected.Ranking.WordCost}") : "left out";
                    progress.Say(FormattableString.Invariant($"led and ranked by what people can be expected to say: CIDEr {100 * with:F1}, without {100 * without:F1}; {kept}"));
                    if (with <= without)
                    {
                        expected.Dispose();
                        expected = null;
                        written.Found = plain;
                    }
                }
                if (why is null)
                    (calibration, why) = Calibrate(written, dataset, train[0], dev, stop);
            }
            progress.Say(why is null ? FormattableString.Invariant($"calibrated: ECE {calibration!.CrossCheck.Ece:F3} on the halves not fitted to, AUROC {calibration.CrossCheck.Auroc:F2}") : $"not calibrated: {why}");
            return (BundleWriter.SaveCalibrated(from, folder, expected, calibration, why), calibration);
        }
        finally
        {
            expected?.Dispose();
        }
    }

    /// <summary>The captions of the development photos, searched as the service does by default.</summary>
    private sealed class DevCaptions
    {
        private readonly ModelBundle _bundle;
        private readonly string[][][] _references;
        private readonly Cider<string> _cider;

        /// <summary>Of each photo what was found last.</summary>
        public List<IReadOnlyList<RankedHypothesis>> Found { get; set; } = [];

        /// <summary>How they are searched.</summary>
        public RankedSearch Options { get; }

        /// <summary>The captions of the training photos, as ids.</summary>
        public int[][][] TrainIds { get; }

        public DevCaptions(ModelBundle bundle, Dataset dataset)
        {
            var tokenizer = Tokenizer.For(bundle.Card.Language);
            _bundle = bundle;
            _references = [.. dataset.Dev.Select(photo => photo.Captions.Select(caption => tokenizer.Tokenize(caption).ToArray()).ToArray())];
            _cider = new Cider<string>(_references);
            TrainIds = [.. dataset.Train.Select(photo => photo.Captions.Select(caption => bundle.Vocabulary.Encode(tokenizer.Tokenize(caption))).ToArray())];
            var options = new CaptionOptions();
            var defaults = RankedSearch.For(tokenizer, bundle.Vocabulary);
            Options = defaults with { Beams = defaults.Beams with { Width = options.BeamWidth, Count = options.BeamWidth, MaxLength = options.MaxLength, LengthNormalization = options.LengthNormalization } };
        }

        public void Search(FeatureSource dev, ExpectedCider? expected, Progress progress, CancellationToken stop)
        {
            _bundle.Decoder.to(TorchRuntime.Device);
            using var frozen = _bundle.Decoder.Freeze(EncoderPrecision.Fastest(TorchRuntime.Device).Type);      // as the service does
            progress.Begin("development captions", _references.Length);
            Found = new List<IReadOnlyList<RankedHypothesis>>(_references.Length);
            foreach (var found in dev.Search(frozen, Enumerable.Range(0, _references.Length), Options, expected))
            {
                stop.ThrowIfCancellationRequested();
                Found.Add(found);
                progress.Advance(1);
            }
        }

        /// <summary>CIDEr of the first captions.</summary>
        public double Cider() => Cider(Found);

        /// <summary>
        /// Orders what was found by the weight of what is expected that gives the best CIDEr; then words cost as much as leaves the first captions
        /// as long together as the human ones nearest in length, which are what BLEU compares lengths with.
        /// </summary>
        public RankingWeights Weigh()
        {
            double[] weights = [5, 10, 20, 50], costs = [0.05, 0.0375, 0.025, 0.0125];
            double weight = weights.MaxBy(weight => Cider(Ordered(new RankingWeights(weight, 0))));
            var chosen = costs.Select(cost => new RankingWeights(weight, cost)).Where(ranking => LongEnough(Ordered(ranking))).DefaultIfEmpty(new RankingWeights(weight, 0)).First();
            Found = Ordered(chosen);
            return chosen;
        }

        /// <summary>Every caption of the photos that have two human ones or more.</summary>
        public IEnumerable<Judged> Judged(Dataset dataset)
        {
            for (int photo = 0; photo < _references.Length; photo++)
            {
                if (_references[photo].Length < 2)
                    continue;
                double needed = MedianHuman(_cider, _references[photo]);
                bool first = InFirstHalf(dataset.Dev[photo].Name);
                for (int rank = 0; rank < Found[photo].Count; rank++)
                    yield return new Judged(photo, first, Found[photo], rank, CiderOf(Found[photo][rank], photo) >= needed);
            }
        }

        private List<IReadOnlyList<RankedHypothesis>> Ordered(RankingWeights ranking) => Found.ConvertAll<IReadOnlyList<RankedHypothesis>>(found => MinimumBayesRisk.Order(found, ranking));

        private double Cider(List<IReadOnlyList<RankedHypothesis>> captions) => captions.Select((found, photo) => found.Count == 0 ? 0 : CiderOf(found[0], photo)).Average();

        private bool LongEnough(List<IReadOnlyList<RankedHypothesis>> captions)
        {
            int written = 0, human = 0;
            for (int photo = 0; photo < captions.Count; photo++)
            {
                int length = captions[photo] is [var first, ..] ? first.Words.Length : 0;
                written += length;
                human += Bleu.ClosestLength(length, _references[photo]);
            }
            return written >= human;
        }

        private double CiderOf(RankedHypothesis hypothesis, int photo) => _cider.Score(_bundle.Vocabulary.Decode(hypothesis.Words), _references[photo]);
    }

    private static string? TooFew(Dataset dataset)
    {
        int photos = dataset.Dev.Count(photo => photo.Captions.Count >= 2);
        return photos < MinPhotos ? $"A calibration needs {MinPhotos} development photos with two or more human captions each; there are {photos}."
            : dataset.Train.Count < MinTrainPhotos ? $"A calibration needs {MinTrainPhotos} training photos to know which photos are familiar; there are {dataset.Train.Count}."
            : null;
    }

    private static (Calibration?, string?) Calibrate(DevCaptions written, Dataset dataset, FeatureSource train, FeatureSource dev, CancellationToken stop)
    {
        int step = (dataset.Train.Count + MaxTrainPhotos - 1) / MaxTrainPhotos;
        var familiarity = Familiarity.Learn(LogMeans(train, [.. Enumerable.Range(0, dataset.Train.Count).Where(i => i % step == 0)], stop));
        double[] factors = [.. LogMeans(dev, [.. Enumerable.Range(0, dataset.Dev.Count)], stop).Select(familiarity.Factor)];
        Judged[] captions = [.. written.Judged(dataset)];
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
    internal static Calibration Fit(IReadOnlyList<Judged> captions, double[] factors, Familiarity familiarity, CalibratedSearch search, Func<int, string>? sourceOf = null)
    {
        Judged[] first = [.. captions.Where(c => c.First)], second = [.. captions.Where(c => !c.First)];
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

        Prediction[] Predict(Calibration calibration, Judged[] some) =>
            [.. some.Select(c => new Prediction(c.Photo, calibration.Confidences(c.Found, factors[c.Photo])[c.Rank], c.Right))];

        Calibration Regress(IReadOnlyList<Judged> some)
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

    /// <summary>How close the median human caption is to the others: of each its CIDEr-D against the rest, of those the median.</summary>
    internal static double MedianHuman(Cider<string> cider, string[][] captions)
    {
        double[] scores = [.. captions.Select((caption, i) => cider.Score(caption, [.. captions[..i], .. captions[(i + 1)..]])).Order()];
        return (scores[(scores.Length - 1) / 2] + scores[scores.Length / 2]) / 2;
    }

    /// <summary>The half of a photo: always the same for the same name.</summary>
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
