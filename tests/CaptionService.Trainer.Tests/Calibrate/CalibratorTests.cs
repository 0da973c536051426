using System.Xml.Linq;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Trainer.Calibrate;
using CaptionService.Trainer.Optimize;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Calibrate;

public sealed class CalibratorTests(SharedFeatures features, ITestOutputHelper output)
{
    [Fact]
    public void A_regression_finds_the_weights_that_the_outcomes_were_drawn_with()
    {
        var random = new Random(3);
        double[][] rows = [.. Enumerable.Range(0, 40_000).Select(_ => new[] { Normal(random), Normal(random), Normal(random) })];
        bool[] right = [.. rows.Select(x => random.NextDouble() < 1 / (1 + Math.Exp(-(-1 + 0.8 * x[0] - 0.4 * x[1]))))];
        var (intercept, weights) = LogisticRegression.Fit(rows, right, ridge: 1);
        output.WriteLine($"{intercept:F3} {string.Join(' ', weights.Select(w => w.ToString("F3")))}");
        Assert.Equal(-1, intercept, 0.05);
        Assert.Equal(0.8, weights[0], 0.05);
        Assert.Equal(-0.4, weights[1], 0.05);
        Assert.Equal(0, weights[2], 0.05);

        // Where a feature decides alone, only the ridge keeps its weight finite: the slope is 0 where w = Σ (y - p) x.
        var (_, decided) = LogisticRegression.Fit([[-1], [1]], [false, true], ridge: 1);
        Assert.Equal(decided[0], 2 / (1 + Math.Exp(decided[0])), 1e-8);
    }

    [Fact]
    public void Confidences_are_what_the_captions_were_drawn_with_and_the_check_says_so()
    {
        var random = new Random(5);
        var captions = new List<JudgedCaption>();
        var truth = new List<double>();
        for (int photo = 0; photo < 4000; photo++)
        {
            RankedHypothesis[] found = [.. Enumerable.Range(0, 3).Select(_ => Of(random))];
            for (int rank = 0; rank < found.Length; rank++)
            {
                double p = 1 / (1 + Math.Exp(-(-0.5 + 3 * (found[rank].WordLogProbabilities[0] + 1.5) - 0.2 * (found[rank].Words.Length - 8))));
                truth.Add(p);
                captions.Add(new(photo, photo % 2 == 0, found, rank, random.NextDouble() < p));
            }
        }
        var calibration = ConfidenceFit.Fit(captions, [.. Enumerable.Repeat(1.0, 4000)], new Familiarity(1, [0], [1], [1]), new(5, 20, 0.7));

        double off = captions.Zip(truth, (c, p) => Math.Abs(calibration.Confidences(c.Found, 1)[c.Rank] - p)).Average();
        output.WriteLine($"off by {off:F4}; {calibration.Check.Ece:F4} [{calibration.Check.EceLow:F4}, {calibration.Check.EceHigh:F4}], perfect {calibration.Check.PerfectEce:F4}; AUROC {calibration.Check.Auroc:F3}");
        Assert.InRange(off, 0, 0.02);
        Assert.InRange(calibration.Check.Ece, 0, 1.6 * calibration.Check.PerfectEce);
        Assert.InRange(calibration.CrossCheck.Ece, 0, 1.6 * calibration.CrossCheck.PerfectEce);
        Assert.InRange(calibration.CrossCheck.PerfectEce, 0.5 * calibration.Check.PerfectEce, 0.9 * calibration.Check.PerfectEce);     // twice the captions: 1/√2
        Assert.Equal((2000, 6000, 4000, 12_000), (calibration.Check.Photos, calibration.Check.Captions, calibration.CrossCheck.Photos, calibration.CrossCheck.Captions));
        Assert.Equal(calibration.Check.Right, captions.Where(c => !c.First).Average(c => c.Right ? 1.0 : 0), 1e-4);
        double best = Reliability.Auroc([.. captions.Zip(truth, (c, p) => new Prediction(c.Photo, p, c.Right))]);
        Assert.Equal(best, calibration.CrossCheck.Auroc, 0.01);

        static RankedHypothesis Of(Random random)
        {
            int words = random.Next(4, 13);
            float logP = -1 - random.NextSingle();
            return new(new Hypothesis([.. Enumerable.Range(0, words).Select(_ => random.Next(4, 500))], [.. Enumerable.Repeat(logP, words)], words * logP, logP, true, new int[words]));
        }
    }

    [Fact]
    public void The_median_human_caption_is_scored_against_the_others()
    {
        string[][][] photos = [[["a", "dog"], ["a", "dog", "runs"], ["the", "cat"]], [["snow"], ["snow", "falls"]], [["a", "boat"]]];
        var cider = new Cider<string>(photos);
        double[] alone = [.. Enumerable.Range(0, 3).Select(i => cider.Score(photos[0][i], [.. photos[0].Where((_, j) => j != i)]))];
        Assert.Equal(0, alone[2]);
        Assert.Equal(Math.Min(alone[0], alone[1]), ConfidenceFit.MedianHuman(cider, photos[0]), 1e-12);
        Assert.Equal((cider.Score(["snow"], [["snow", "falls"]]) + cider.Score(["snow", "falls"], [["snow"]])) / 2, ConfidenceFit.MedianHuman(cider, photos[1]), 1e-12);
    }

    [Fact]
    public void The_halves_are_fixed_by_the_names()
    {
        // SHA-256 of "a.jpg" begins with an odd byte or an even one for good: what was fitted to must not become what is checked on.
        string[] names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "照片.png"];
        Assert.Equal("FFFSF", string.Concat(names.Select(name => ConfidenceFit.InFirstHalf(name) ? 'F' : 'S')));
        Assert.InRange(Enumerable.Range(0, 2000).Count(i => ConfidenceFit.InFirstHalf($"{i}.jpg")), 900, 1100);
    }

    [Fact]
    public void A_run_over_too_few_photos_makes_a_model_without_a_calibration_that_says_why()
    {
        using var job = new JobFolder(features.Folder);
        var card = job.Train();
        Assert.Equal("A calibration needs 200 development photos with two or more human captions each; there are 2.", card.WhyNoConfidence);
        Assert.Equal(card.WhyNoConfidence, ModelBundle.ReadCard(job.File("model")).Uncalibrated);
        using var bundle = ModelBundle.Load(job.File("model"));
        Assert.Null(bundle.Calibration);
        Assert.Equal(card.Digest, bundle.Card.Digest);
    }

    // Vectors instead of photos, so that there can be enough of them.
    [Fact]
    public void A_run_calibrates_its_model_and_the_verb_does_so_again()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { Architecture = "show-and-tell", BatchPhotos = 10, Epochs = 15, LearningRate = 0.01 });
        var random = new Random(11);
        string[] colours = ["red", "blue", "green", "black"], animals = ["dog", "cat", "bird", "horse"], verbs = ["runs", "sits", "sleeps"], places = ["in snow", "on grass", "by a fence"];
        string[] names = [.. Enumerable.Range(0, 360).Select(i => $"{i:000}.jpg")];
        using var scope = NewDisposeScope();
        var values = zeros(names.Length, 8);
        var captions = new List<(string, string)>();
        for (int i = 0; i < names.Length; i++)
        {
            int colour = random.Next(4), animal = random.Next(4);
            values[i, colour] = tensor(1f);
            values[i, 4 + animal] = tensor(1f);
            for (int k = 0; k < 3; k++)
                captions.Add((names[i], $"A {colours[colour]} {animals[animal]} {verbs[random.Next(3)]} {places[random.Next(3)]}."));
        }
        Npy.Save(job.File("features.npy"), values);
        File.WriteAllLines(job.File("names.txt"), names);
        job.WriteData(captions, names[..120], names[120..]);

        var card = job.Train();
        Assert.Null(card.WhyNoConfidence);
        using (var bundle = ModelBundle.Load(job.File("model")))
        {
            var (calibration, first) = (bundle.Calibration!, names[120..].Count(ConfidenceFit.InFirstHalf));
            output.WriteLine($"{calibration.Fitted.Right:F2} right, ECE {calibration.Check.Ece:F3}, AUROC {calibration.Check.Auroc:F2}");
            Assert.Equal((240, 240 - first, 240), (calibration.Fitted.Photos, calibration.Check.Photos, calibration.CrossCheck.Photos));
            Assert.Equal(240 * BeamSearchOptions.DefaultWidth, calibration.Fitted.Captions);
            Assert.Equal(60, calibration.Familiarity.Photos);
            Assert.Equal(Calibration.Meaning, calibration.Definition);
        }

        Assert.Equal(TrainerExit.Succeeded, Program.Main(["calibrate", job.File("model"), job.File("job.json"), "--out", job.File("again"), "--svg", job.File("reliability.svg")]));
        foreach (string file in new[] { "calibration.json", "decoder.safetensors", "model.json", "vocabulary.txt" })
            Assert.True(File.ReadAllBytes(Path.Combine(job.File("model"), file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(job.File("again"), file))), $"{file} differs");
        var svg = XDocument.Load(job.File("reliability.svg"));
        Assert.Equal(Reliability.DefaultBins, svg.Descendants().Count(e => e.Name.LocalName == "circle"));
        Assert.Contains("prefers-color-scheme: dark", svg.ToString());

        // In its own place too, and of a model in another language not at all.
        Assert.Equal(TrainerExit.Succeeded, Program.Main(["calibrate", job.File("again"), job.File("job.json")]));
        Assert.Equal(card.Digest, ModelBundle.ReadCard(job.File("again")).Digest);
        job.WriteJob(job.Job with { Language = "de" });
        Assert.Equal(TrainerExit.BadData, Program.Main(["calibrate", job.File("again"), job.File("job.json")]));
        Assert.Equal(TrainerExit.BadJob, Program.Main(["calibrate", job.File("again"), job.File("job.json"), "--draw", "x"]));
        Assert.Equal(TrainerExit.BadJob, Program.Main(["calibrate", job.File("again")]));
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
