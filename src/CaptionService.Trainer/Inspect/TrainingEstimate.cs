using System.Diagnostics;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Inspect;

/// <summary>
/// Minutes of training, measured: some photos through the encoder and some training steps on this data's captions. On a CPU
/// the processor's time counts, so that the answer is that of an idle machine however busy it is now. Takes some seconds.
/// </summary>
internal static class TrainingEstimate
{
    private const int Photos = 4, Steps = 2;

    // How much of an ideal division of the work among the cores is reached; 0.8 to 0.95 measured on two.
    private const double Sharing = 0.85;

    public static ReportedEstimate Measure(string folder, bool precomputed, List<string> train, int devPhotos,
        IReadOnlyDictionary<string, List<string>> captions, Tokenizer tokenizer, Progress progress)
    {
        TorchRuntime.Configure();
        progress.Say("measuring how fast this machine trains");
        var options = precomputed ? new TrainingOptions { Architecture = "show-and-tell", Embedding = 256, Hidden = 256 } : new TrainingOptions();
        var vocabulary = Vocabulary.Build(train.SelectMany(n => captions[n].Select(tokenizer.Surfaces)), options.MinWordCount);
        double? photosPerSecond = precomputed ? null : EncoderRate(folder, train);
        string features = Path.Combine(folder, DatasetFolder.Features);
        double step = StepSeconds(options, precomputed ? (int)PrecomputedFeatures.Header(features).Shape[1] : null, vocabulary,
            [.. train.Take(options.BatchPhotos).Select(n => captions[n].Select(c => Cut(vocabulary.Encode(tokenizer.Tokenize(c)), options)).Where(c => c.Length > 0).ToArray())]);

        double featureMinutes = photosPerSecond is { } rate ? (train.Count + devPhotos) / rate / 60 : 0;
        double perEpoch = Math.Ceiling((double)train.Count / options.BatchPhotos) * step / 60;
        // A searched caption costs about what a training photo of five captions does: measured 0.6 to 1.1 of it.
        double validation = (double)devPhotos / options.BatchPhotos * step / 60;
        return new ReportedEstimate(photosPerSecond is { } r ? Math.Round(r, 2) : null, Math.Round(step, 3), Math.Round(featureMinutes, 2),
            Math.Round(perEpoch + validation, 3), Math.Round(featureMinutes + options.Epochs * (perEpoch + validation), 1));
    }

    private static double EncoderRate(string folder, List<string> train)
    {
        var photos = Enumerable.Range(0, Photos).Select(i => Photo.Decode(File.ReadAllBytes(Path.Combine(folder, DatasetFolder.Photos, train[i % train.Count])))).ToArray();
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, TorchRuntime.Device);
        using var scope = NewDisposeScope();
        using var pixels = Vgg16.Pixels(photos);
        _ = encoder.Forward(pixels).cpu();
        return Photos / Seconds(() => _ = encoder.Forward(pixels).cpu());
    }

    private static double StepSeconds(TrainingOptions options, int? vectorSize, Vocabulary vocabulary, int[][][] captions)
    {
        var device = TorchRuntime.Device;
        using var scope = NewDisposeScope();
        using var decoder = CaptionDecoder.Create(new DecoderOptions
        {
            Architecture = options.Architecture, VocabularySize = vocabulary.Count, Embedding = options.Embedding, Hidden = options.Hidden,
            Heads = options.Heads, Attention = options.Attention, FeatureSize = vectorSize ?? Vgg16.Channels, SingleVector = vectorSize is not null,
        });
        decoder.to(device);
        decoder.train();
        decoder.Dropout = options.Dropout;
        decoder.ComputeType = EncoderPrecision.Fastest(device).Type;
        using var adam = new Adam(decoder.named_parameters(), options.Beta1, options.Beta2, options.WeightAverage);
        // Fewer photos than a batch: the same ones again.
        int[][][] batch = [.. Enumerable.Range(0, options.BatchPhotos).Select(i => captions[i % captions.Length])];
        var places = (vectorSize is { } size ? rand(batch.Length, size) : rand(batch.Length, Vgg16.Regions, Vgg16.Channels)).to(ScalarType.Float16).to(device);
        double best = double.MaxValue;
        for (int i = 0; i <= Steps; i++)
        {
            double seconds = Seconds(() =>
            {
                using var step = NewDisposeScope();
                using var packed = new PackedCaptions(batch, device);
                var pass = decoder.Forward(places, packed);
                var logits = decoder.Logits(pass.Outputs);
                var (loss, _, gradient) = Losses.CrossEntropy(logits, packed.Targets, options.LabelSmoothing);
                pass.Backward(logits, gradient);
                adam.Step(options.LearningRate, options.GradientNorm);
                _ = loss.value();
            });
            if (i > 0)      // the first one fills caches
                best = Math.Min(best, seconds);
        }
        return best;
    }

    // One thread: several would wait for each other in a loop, and burn the time that is counted, where other programs run.
    private static double Seconds(Action work)
    {
        if (TorchRuntime.Device.type == DeviceType.CUDA)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        using var process = Process.GetCurrentProcess();
        var before = process.TotalProcessorTime;
        TorchRuntime.Configure(threads: 1);
        try
        {
            work();
        }
        finally
        {
            TorchRuntime.Configure();
        }
        process.Refresh();
        return (process.TotalProcessorTime - before).TotalSeconds / Math.Max(1, Environment.ProcessorCount * Sharing);
    }

    private static int[] Cut(int[] words, TrainingOptions options) => words.Length <= options.MaxCaptionWords ? words : words[..options.MaxCaptionWords];
}
