using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer.Calibrate;

/// <summary>
/// What is fitted to a finished model: first what people can be expected to say of a photo (<see cref="ExpectedCiderFit"/>), kept where
/// captions ranked by it are better; then its confidence (<see cref="ConfidenceFit"/>).
/// </summary>
internal static class Calibrator
{
    /// <summary>Fewest development photos to see whether captions are ranked better.</summary>
    internal const int MinRankedPhotos = 100;

    /// <summary>The <c>calibrate</c> verb.</summary>
    public static int Run(string modelFolder, string jobFile, string output, string? svg, bool int8, Progress progress, CancellationToken stop)
    {
        var job = JobReader.Read(jobFile);
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
        using var train = Augmentations.Open(dataset, cache, encoding, job.Options, progress, stop);
        using var dev = FeatureSource.Open(dataset, dataset.Dev, cache, encoding, Augmentation.None, progress, stop);
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
    /// <param name="train">Features of the training photos with each augmentation; the unchanged photos come first.</param>
    /// <param name="dev">Features of the development photos.</param>
    /// <param name="seed">Seed of everything random.</param>
    /// <param name="progress">Told of each batch.</param>
    /// <param name="stop">Ends it after the batch under way.</param>
    public static (ModelCard Card, Calibration? Calibration) Apply(string from, string folder, Dataset dataset, IReadOnlyList<FeatureSource> train, FeatureSource dev, long seed, Progress progress, CancellationToken stop)
    {
        string? why = ConfidenceFit.TooFew(dataset);
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
                    (calibration, why) = ConfidenceFit.Fit(written, dataset, train[0], dev, stop);
            }
            progress.Say(why is null ? FormattableString.Invariant($"calibrated: ECE {calibration!.CrossCheck.Ece:F3} on the halves not fitted to, AUROC {calibration.CrossCheck.Auroc:F2}") : $"not calibrated: {why}");
            return (BundleWriter.SaveCalibrated(from, folder, expected, calibration, why), calibration);
        }
        finally
        {
            expected?.Dispose();
        }
    }
}
