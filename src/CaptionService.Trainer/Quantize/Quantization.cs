using System.Globalization;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Quantize;

/// <summary>
/// The <c>quantize</c> verb: what a byte of each channel of the encoder's layers stands for in int8, found on training photos.
/// Each channel's largest value almost fills the byte, so that quiet channels are heard; but loud ones are louder in bytes too,
/// since what a channel's scale takes from its activations it adds to the next layer's weights, which share one step
/// (the balance of SmoothQuant, Xiao et al. 2022, arXiv:2211.10438).
/// </summary>
internal static class Quantization
{
    /// <summary>Photos that are looked at unless more or fewer are asked for.</summary>
    public const int DefaultPhotos = 2048;

    /// <summary>Exponent of a channel's largest value; 0: all channels of a layer have one scale, 1: each fills the byte.</summary>
    private const double Balance = 0.8;

    private const int Batch = 8, MaxByte = 255;
    private const float Least = 1e-3f;          // a silent channel is taken to reach this share of the loudest

    /// <param name="modelFolder">A model bundle, whose encoder is meant.</param>
    /// <param name="jobFile">Names the photos: those of the training split.</param>
    /// <param name="most">Most photos that are looked at.</param>
    /// <param name="automatic">Whether a service may choose int8 by itself.</param>
    /// <param name="progress">Is told of it.</param>
    /// <param name="stop">Ends it.</param>
    public static int Run(string modelFolder, string jobFile, int most, bool automatic, Progress progress, CancellationToken stop)
    {
        var job = JobReader.Read(jobFile);
        var dataset = Dataset.Load(job.Data, Path.GetDirectoryName(Path.GetFullPath(jobFile))!);
        if (dataset.FeaturesFile is not null)
            throw new DatasetException("The data set has features instead of photos: there is nothing to encode.");
        string encoderPath;
        using (var bundle = ModelBundle.Load(modelFolder))
            encoderPath = PhotoEncoding.Of(bundle).EncoderPath;
        // By digest: a sample of all sources, the same each time.
        CaptionedPhoto[] photos = [.. dataset.Train.AsParallel().OrderBy(photo => photo.Sha256, StringComparer.Ordinal).Take(most)];
        (Find(encoderPath, photos, progress, stop) with { Automatic = automatic }).Save(encoderPath);
        Console.WriteLine($"{Int8Scales.PathBeside(encoderPath)}: {photos.Length} photos.");
        return TrainerExit.Succeeded;
    }

    /// <summary>Finds them for an encoder.</summary>
    internal static Int8Scales Find(string encoderPath, CaptionedPhoto[] photos, Progress progress, CancellationToken stop) =>
        new(Sha256.OfFile(encoderPath), photos.Length, Int8Scales.Needed.Zip(Largest(encoderPath, photos, progress, stop)).ToDictionary(layer => layer.First.Name, layer => Scales(layer.Second)));

    private static float[] Scales(float[] largest)
    {
        float loudest = Math.Max(largest.Max(), Least);
        return [.. largest.Select(value => Rounded(loudest / MaxByte * Math.Pow(Math.Max(value / loudest, Least), Balance)))];

        // Four digits suffice.
        static float Rounded(double scale) => float.Parse(scale.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }

    /// <summary>The largest activation of each channel of each layer that needs scales.</summary>
    private static float[][] Largest(string encoderPath, CaptionedPhoto[] photos, Progress progress, CancellationToken stop)
    {
        using var encoder = Vgg16.Load(encoderPath, TorchRuntime.Device, EncoderPrecision.Fastest(TorchRuntime.Device));
        float[][] largest = [.. Int8Scales.Needed.Select(layer => new float[layer.Channels])];
        progress.Begin("int8 scales", photos.Length);
        foreach (var some in photos.Chunk(Batch))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            int layer = 0;
            encoder.Pool4(Vgg16.Pixels(FeatureCache.Decode(some)), activations =>
            {
                if (layer == largest.Length)            // the last one gives floats
                    return;
                using var its = NewDisposeScope();
                var now = activations.amax([0, 2, 3]).to(ScalarType.Float32).cpu().data<float>();
                largest[layer] = [.. largest[layer].Zip(now, Math.Max)];
                layer++;
            });
            progress.Advance(some.Length);
        }
        return largest;
    }
}
