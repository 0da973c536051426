using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using TorchSharp;

namespace CaptionService.Trainer;

/// <summary>The <c>evaluate</c> verb: a model's searched captions over a split, scored.</summary>
internal static class Evaluation
{
    private const string Consensus = "consensus", Likelihood = "likelihood";

    public static int Run(string modelFolder, string jobFile, string[] options, Progress progress, CancellationToken stop)
    {
        string split = "dev";
        string? output = null;
        int? width = null, noRepeat = null;
        int count = 1;
        double? normalization = null;
        double diversity = 0;
        string ranking = Consensus;
        for (int i = 0; i < options.Length; i += 2)
        {
            string value = i + 1 < options.Length ? options[i + 1] : throw new ValidationException($"{options[i]} needs a value.");
            switch (options[i])
            {
                case "--split": split = value; break;
                case "--output": output = value; break;
                case "--beam": width = Number(options[i], value, 1, CaptionOptions.MaxBeamWidth); break;
                case "--count": count = Number(options[i], value, 1, CaptionOptions.MaxBeamWidth); break;
                case "--ranking": ranking = value is Consensus or Likelihood ? value : throw new ValidationException($"--ranking is {value}; it must be {Consensus} or {Likelihood}."); break;
                case "--diversity": diversity = Number(options[i], value, 0.0, CaptionOptions.MaxDiversity); break;
                case "--length-normalization": normalization = Number(options[i], value, 0.0, 2.0); break;
                case "--no-repeat": noRepeat = Number(options[i], value, 0, 100); break;
                default: throw new ValidationException($"Unknown option {options[i]}.");
            }
        }

        var job = Program.ReadJob(jobFile);
        string root = Path.GetDirectoryName(Path.GetFullPath(jobFile))!;
        var dataset = Dataset.Load(job.Data, root);
        var photos = dataset.Split(split);
        using var bundle = ModelBundle.Load(modelFolder);
        var tokenizer = Tokenizer.For(bundle.Card.Language);
        var beams = BeamSearchOptions.For(tokenizer, bundle.Vocabulary);
        beams = beams with
        {
            Width = Math.Max(width ?? beams.Width, count),
            Count = count,
            LengthNormalization = normalization ?? beams.LengthNormalization,
            NoRepeatNgram = noRepeat ?? beams.NoRepeatNgram,
        };
        var search = new RankedSearch(beams, ByRisk: ranking == Consensus).Diverse(diversity);
        using var features = FeatureSource.Open(dataset, photos, Path.Combine(root, job.Features), PhotoEncoding.Of(bundle), PhotoView.Upright, progress, stop);
        bundle.Decoder.to(TorchRuntime.Device);
        using var frozen = bundle.Decoder.Freeze(EncoderPrecision.Fastest(TorchRuntime.Device).Type);
        using var expected = bundle.LoadExpectedCider(TorchRuntime.Device);
        var training = dataset.TrainCaptions(tokenizer);
        // Each source by itself, since what CIDEr weighs words by depends on the photos together.
        var each = dataset.SourcesOf(split).Select(source =>
        {
            var (first, count) = source.Rows.GetOffsetAndLength(photos.Count);
            return (source.Name, Scores: new Validation([.. photos.Skip(first).Take(count)], features.Select([.. Enumerable.Range(first, count)]), training, bundle.Vocabulary, tokenizer).Run(frozen, search, expected));
        }).ToArray();
        var scores = Scores.Mean([.. each.Select(source => source.Scores)]);
        if (output is not null)
            Durable.Replace(output, JsonSerializer.SerializeToUtf8Bytes(EvaluationResult.Of(bundle.Card, split, search.Beams, scores.Figures,
                [.. photos.Select((photo, i) => new EvaluatedPhoto(photo.Name, tokenizer.Detokenize(scores.Written[i]), scores.PhotoCider[i], photo.Captions))]), TrainingEvent.Json));
        foreach (var (source, its) in each.Length > 1 ? each : [])
            Console.WriteLine($"{source}: {its}");
        Console.WriteLine(scores);
        return TrainerExit.Succeeded;
    }

    private static T Number<T>(string option, string value, T least, T most) where T : INumber<T> =>
        T.TryParse(value, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw new ValidationException($"{option} is {value}; it must be {least} to {most}.");
}
