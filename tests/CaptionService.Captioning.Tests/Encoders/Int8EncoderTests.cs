using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>The encoder in bytes, with the shipped weights on real photos. Each test needs a libtorch with oneDNN's int8 convolutions.</summary>
public sealed class Int8EncoderTests : IDisposable
{
    private static readonly string[] s_names = ["astronaut", "cat", "coffee", "temple"];

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;
    private readonly string _encoder;
    private readonly string _digest = Sha256.OfFile(DefaultModels.EncoderPath);

    public Int8EncoderTests()
    {
        _encoder = Path.Combine(_folder, "encoder.safetensors");
        File.Copy(DefaultModels.EncoderPath, _encoder);
        using var kernel = Int8Kernel.TryLoad(CPU);
        Assert.SkipWhen(kernel is null, "no int8 convolutions here");
    }

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Regions_are_nearly_those_of_torchvision(ScalarType type)
    {
        Scales.Save(_encoder);
        using var encoder = Vgg16.Load(_encoder, CPU, new EncoderPrecision(type, ChannelsLast: true, Int8: true));
        var regions = encoder.Forward(Vgg16.Pixels([.. s_names.Select(Square)]));
        Assert.Equal(type, regions.dtype);
        var golden = Safetensors.Load(Path.Combine(AppContext.BaseDirectory, "golden", "vgg16-conv5_3.safetensors"));
        for (int i = 0; i < s_names.Length; i++)
        {
            var (expected, found) = (golden[s_names[i]].to(float64).view(512, 196).t().contiguous(), regions[i].to(float64));
            double cosine = expected.mul(found).sum().item<double>() / (expected.norm().item<double>() * found.norm().item<double>());
            Assert.True(cosine >= 0.9995, $"{s_names[i]}: cosine {cosine}");
        }
    }

    [Fact]
    public void A_photo_alone_has_exactly_the_regions_it_has_in_a_batch()
    {
        Scales.Save(_encoder);
        using var encoder = Vgg16.Load(_encoder, CPU, EncoderPrecision.InBytes(CPU));
        Photo[] photos = [.. s_names.Concat(s_names).Select(Square)];
        var together = encoder.Forward(Vgg16.Pixels(photos));
        for (int i = 0; i < 4; i++)
            Assert.True(together[i].equal(encoder.Forward(Vgg16.Pixels([photos[i]]))[0]).all().item<bool>(), $"photo {i}");
    }

    [Fact]
    public void It_leaves_no_tensor_behind()
    {
        Scales.Save(_encoder);
        var pixels = Vgg16.Pixels([Square("cat")]);
        EncoderPrecision.Of(EncoderPrecision.InInt8, CPU);
        long before = Tensor.TotalCount;
        using (var encoder = Vgg16.Load(_encoder, CPU, EncoderPrecision.InBytes(CPU)))
        {
            for (int i = 0; i < 3; i++)
                encoder.Forward(pixels).Dispose();
        }
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void Scales_that_do_not_fit_are_told_where_int8_is_forced()
    {
        Assert.Contains("'quantize'", Refused());
        (Scales with { EncoderSha256 = new string('0', 64) }).Save(_encoder);
        Assert.Contains(_digest, Refused());
        (Scales with { Layers = Scales.Layers.Where(layer => layer.Key != "features.12").ToDictionary() }).Save(_encoder);
        Assert.Contains("256 positive numbers for 'features.12'", Refused());
        (Scales with { Layers = Scales.Layers.ToDictionary(layer => layer.Key, layer => layer.Key == "features.5" ? [0, .. layer.Value[1..]] : layer.Value) }).Save(_encoder);
        Assert.Contains("'features.5'", Refused());
        File.WriteAllText(Int8Scales.PathBeside(_encoder), "{");
        Assert.Contains("cannot be read", Refused());

        string Refused() => Assert.Throws<ModelBundleException>(() => Vgg16.Load(_encoder, _digest, CPU, EncoderPrecision.InInt8)).Message;
    }

    [Fact]
    public void Left_to_itself_it_runs_in_floats_unless_scales_that_fit_allow_int8()
    {
        Runs(null);
        (Scales with { Automatic = false }).Save(_encoder);
        Runs(null);
        (Scales with { Automatic = true, EncoderSha256 = new string('0', 64) }).Save(_encoder);
        Runs(_digest);

        void Runs(string? complaint)
        {
            using var encoder = Vgg16.Load(_encoder, _digest, CPU, EncoderPrecision.Auto);
            Assert.False(encoder.Precision.Int8);
            Assert.Equal(complaint is not null, encoder.WhyNotInt8?.Contains(complaint!, StringComparison.Ordinal) ?? false);
        }
    }

    [Theory]
    [InlineData(EncoderPrecision.Fp32)]
    [InlineData(EncoderPrecision.Bf16)]
    [InlineData(EncoderPrecision.InInt8)]
    public void A_forced_precision_is_the_one_that_runs(string choice)
    {
        Scales.Save(_encoder);
        using var encoder = Vgg16.Load(_encoder, _digest, CPU, choice);
        Assert.Equal(choice, encoder.Precision.Name);
    }

    // Those of the shipped encoder.
    private static Int8Scales Scales { get; } = Int8Scales.Load(DefaultModels.EncoderPath, Sha256.OfFile(DefaultModels.EncoderPath));

    private static Photo Square(string name) => Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", name + ".png")));
}
