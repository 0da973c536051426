using System.Text.Json;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp;

namespace CaptionService.Trainer.Evaluate;

/// <summary>The <c>evaluate</c> verb: a model's searched captions over a split, scored.</summary>
internal static class Evaluation
{
    /// <summary>How a photo's hypotheses are ranked.</summary>
    public const string Consensus = "consensus", Likelihood = "likelihood";

    /// <summary>What the command line says; null: as the service does by default.</summary>
    /// <param name="Split">train, dev or test.</param>
    /// <param name="Beam">Beam width.</param>
    /// <param name="LengthNormalization">Exponent of the length.</param>
    /// <param name="NoRepeat">Longest n-gram that may come twice.</param>
    /// <param name="Ranking"><see cref="Evaluation.Consensus"/> or <see cref="Likelihood"/>.</param>
    /// <param name="Count">Captions of each photo.</param>
    /// <param name="Diversity">How different they shall be.</param>
    /// <param name="Int8">Whether the encoder runs in int8.</param>
    /// <param name="Output">File for the scores; null: none.</param>
    public sealed record Options(string Split, int? Beam, double? LengthNormalization, int? NoRepeat, string Ranking, int Count, double Diversity, bool Int8, string? Output);

    public static int Run(string modelFolder, string jobFile, Options options, Progress progress, CancellationToken stop)
    {
        string split = options.Split;
        var job = JobReader.Read(jobFile);
        string root = Path.GetDirectoryName(Path.GetFullPath(jobFile))!;
        var dataset = Dataset.Load(job.Data, root);
        var photos = dataset.Split(split);
        using var bundle = ModelBundle.Load(modelFolder);
        var tokenizer = Tokenizer.For(bundle.Card.Language);
        var beams = BeamSearchOptions.For(tokenizer, bundle.Vocabulary);
        beams = beams with
        {
            Width = Math.Max(options.Beam ?? beams.Width, options.Count),
            Count = options.Count,
            LengthNormalization = options.LengthNormalization ?? beams.LengthNormalization,
            NoRepeatNgram = options.NoRepeat ?? beams.NoRepeatNgram,
        };
        var search = new RankedSearch(beams, ByRisk: options.Ranking == Consensus).Diverse(options.Diversity);
        using var features = FeatureSource.Open(dataset, photos, Path.Combine(root, job.Features), PhotoEncoding.Of(bundle) with { Int8 = options.Int8 }, Augmentation.None, progress, stop);
        bundle.Decoder.to(TorchRuntime.Device);
        using var frozen = bundle.Decoder.FreezeForService(EncoderPrecision.Fastest(TorchRuntime.Device).Type);
        using var expected = bundle.LoadExpectedCider(TorchRuntime.Device);
        var training = dataset.TrainCaptions(tokenizer);
        // Each source by itself, since what CIDEr weighs words by depends on the photos together.
        var each = dataset.SourcesOf(split).Select(source =>
        {
            var (first, count) = source.Rows.GetOffsetAndLength(photos.Count);
            return (source.Name, Scores: new Validation([.. photos.Skip(first).Take(count)], features.Select([.. Enumerable.Range(first, count)]), training, bundle.Vocabulary, tokenizer).Run(frozen, search, expected));
        }).ToArray();
        var scores = Scores.Mean([.. each.Select(source => source.Scores)]);
        if (options.Output is { } output)
            Durable.Replace(output, JsonSerializer.SerializeToUtf8Bytes(EvaluationResult.Of(bundle.Card, split, search.Beams, scores.Figures,
                [.. photos.Select((photo, i) => new EvaluatedPhoto(photo.Name, tokenizer.Detokenize(scores.Written[i]), scores.PhotoCider[i], photo.Captions))]), TrainingEvent.Json));
        foreach (var (source, its) in each.Length > 1 ? each : [])
            Console.WriteLine($"{source}: {its}");
        Console.WriteLine(scores);
        return TrainerExit.Succeeded;
    }
}
