using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Quantize;

/// <summary>The <c>quantize</c> verb: what a byte of each of the encoder's layers stands for in int8, found on training photos.</summary>
internal static class Quantization
{
    /// <summary>Photos that are looked at unless more or fewer are asked for.</summary>
    public const int DefaultPhotos = 512;

    private const int Batch = 8;

    /// <param name="modelFolder">A model bundle: its encoder, and what it changes of it.</param>
    /// <param name="jobFile">Names the photos: those of the training split.</param>
    /// <param name="most">Most photos that are looked at.</param>
    /// <param name="percentile">Share of the activations that is not cut off; null: least squared error.</param>
    /// <param name="progress">Is told of it.</param>
    /// <param name="stop">Ends it.</param>
    public static int Run(string modelFolder, string jobFile, int most, double? percentile, Progress progress, CancellationToken stop)
    {
        var job = JobReader.Read(jobFile);
        var dataset = Dataset.Load(job.Data, Path.GetDirectoryName(Path.GetFullPath(jobFile))!);
        if (dataset.FeaturesFile is not null)
            throw new DatasetException("The data set has features instead of photos: there is nothing to encode.");
        PhotoEncoding encoding;
        using (var bundle = ModelBundle.Load(modelFolder))
            encoding = PhotoEncoding.Of(bundle);
        // By digest: a sample of all sources, the same each time.
        CaptionedPhoto[] photos = [.. dataset.Train.AsParallel().OrderBy(photo => photo.Sha256, StringComparer.Ordinal).Take(most)];
        var (trunk, block, adapted) = Look(encoding, photos, progress, stop);

        double Scale(ActivationHistogram seen) => percentile is { } share ? seen.Percentile(share) : seen.LeastSquares();
        IReadOnlyDictionary<string, double> Named(IEnumerable<string> layers, IEnumerable<ActivationHistogram> seen) =>
            layers.Zip(seen).ToDictionary(layer => layer.First, layer => Scale(layer.Second));
        string digest = Sha256.OfFile(encoding.EncoderPath);
        var adapters = Known(encoding.EncoderPath, digest);
        if (encoding.AdapterPath is { } path)
            adapters[Sha256.OfFile(path)] = Named(Int8Scales.BlockLayers, adapted);
        var scales = new Int8Scales(digest, photos.Length, Named([.. Int8Scales.TrunkLayers, .. Int8Scales.BlockLayers], [.. trunk, .. block]), adapters);
        scales.Save(encoding.EncoderPath);
        Console.WriteLine($"{Int8Scales.PathBeside(encoding.EncoderPath)}: {photos.Length} photos, {adapters.Count} changed last blocks.");
        return TrainerExit.Succeeded;
    }

    /// <summary>What other models' changes of the last block were found to need.</summary>
    private static Dictionary<string, IReadOnlyDictionary<string, double>> Known(string encoderPath, string digest)
    {
        try
        {
            return new(Int8Scales.Load(encoderPath, digest).Adapters);
        }
        catch (ModelBundleException)
        {
            return [];          // none yet, or another encoder's: made anew
        }
    }

    private static (ActivationHistogram[] Trunk, ActivationHistogram[] Block, ActivationHistogram[] Adapted) Look(PhotoEncoding encoding, CaptionedPhoto[] photos, Progress progress, CancellationToken stop)
    {
        using var encoder = Vgg16.Load(encoding.EncoderPath, TorchRuntime.Device);
        using var adapter = encoding.AdapterPath is { } path ? EncoderAdapter.Load(path) : null;
        using var changed = adapter is null ? null : Conv5.Load(encoding.EncoderPath, adapter, TorchRuntime.Device, encoder.Precision);
        var (trunk, block, adapted) = (New(Int8Scales.TrunkLayers), New(Int8Scales.BlockLayers), New(Int8Scales.BlockLayers));
        progress.Begin("int8 scales", photos.Length);
        foreach (var some in photos.Chunk(Batch))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var pool4 = encoder.Pool4(Vgg16.Pixels(FeatureCache.Decode(some)), Into(trunk));
            encoder.Conv5.Forward(pool4, Into(block));
            changed?.Forward(pool4, Into(adapted));
            progress.Advance(some.Length);
        }
        return (trunk, block, adapted);

        static ActivationHistogram[] New(IReadOnlyList<string> layers) => [.. layers.Select(_ => new ActivationHistogram())];

        // One layer after the other; the last block's last has none, since it gives floats.
        static Action<Tensor> Into(ActivationHistogram[] layers)
        {
            int next = 0;
            return activations =>
            {
                if (next < layers.Length)
                    layers[next++].Add(activations);
            };
        }
    }
}
