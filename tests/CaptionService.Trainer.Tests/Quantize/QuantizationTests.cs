using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Quantize;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Quantize;

/// <summary>What <c>quantize</c> finds, on real photos.</summary>
public sealed class QuantizationTests(SharedFeatures features) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("quantize").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void An_encoder_runs_in_int8_with_the_scales_that_were_found_for_it()
    {
        using (var kernel = Int8Kernel.TryLoad(CPU))
            Assert.SkipWhen(kernel is null, "no int8 convolutions here");
        using var job = new JobFolder(features.Folder);
        var dataset = Dataset.Load(job.Job.Data, job.Folder);
        string encoder = Path.Combine(_folder, "encoder.safetensors");
        File.Copy(DefaultModels.EncoderPath, encoder);
        Assert.Throws<ModelBundleException>(() => Vgg16.Load(encoder, CPU, EncoderPrecision.InBytes(CPU)));

        var found = Quantization.Find(encoder, [.. dataset.Train], new Progress(TextWriter.Null, interactive: false), TestContext.Current.CancellationToken);
        found.Save(encoder);

        Assert.Equal(4, found.Photos);
        Assert.Equal(Int8Scales.Needed, found.Layers.Select(layer => (layer.Key, layer.Value.Length)));
        using var scope = NewDisposeScope();
        using var bytes = Vgg16.Load(encoder, CPU, EncoderPrecision.Float32 with { Int8 = true });
        using var floats = Vgg16.Load(encoder, CPU, EncoderPrecision.Float32);
        var pixels = Vgg16.Pixels(FeatureCache.Decode([.. dataset.Train]));
        var (one, other) = (bytes.Forward(pixels).flatten(1), floats.Forward(pixels).flatten(1));
        Assert.True(nn.functional.cosine_similarity(one, other).min().item<float>() > 0.998f);
    }

    [Fact]
    public void Louder_channels_have_larger_scales_and_the_loudest_fills_a_byte()
    {
        using var job = new JobFolder(features.Folder);
        var photos = Dataset.Load(job.Job.Data, job.Folder).Train;
        var found = Quantization.Find(DefaultModels.EncoderPath, [.. photos], new Progress(TextWriter.Null, interactive: false), TestContext.Current.CancellationToken);
        using var scope = NewDisposeScope();
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, EncoderPrecision.Float32);
        Tensor? first = null;
        encoder.Pool4(Vgg16.Pixels(FeatureCache.Decode([.. photos])), seen => first ??= seen.amax([0, 2, 3]).MoveToOuterDisposeScope());
        float[] largest = [.. first!.data<float>()], scales = found.Layers["features.0"];
        Assert.Equal(largest.Max() / 255, scales.Max(), largest.Max() / 255 * 0.01);
        Assert.Equal(Array.IndexOf(largest, largest.Max()), Array.IndexOf(scales, scales.Max()));
        Assert.InRange(scales.Min(), 1e-6, scales.Max() / 2);
    }
}
