using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>The shipped encoder weights on real photos, against features that torchvision computed.</summary>
public sealed class Vgg16Tests(ITestOutputHelper output) : IDisposable
{
    private static readonly string[] s_names = ["astronaut", "cat", "coffee", "temple"];

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        File.Delete(_file);
    }

    [Theory]
    [InlineData(ScalarType.Float32, true, 0.9999)]
    [InlineData(ScalarType.Float32, false, 0.9999)]
    [InlineData(ScalarType.BFloat16, true, 0.999)]
    public void Places_are_those_of_torchvision(ScalarType type, bool channelsLast, double least)
    {
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, new EncoderPrecision(type, channelsLast));
        var places = encoder.Forward(Vgg16.Pixels([.. s_names.Select(Square)]));
        Assert.Equal(type, places.dtype);
        Assert.Equal([4, 196, 512], places.shape);
        var golden = Safetensors.Load(Path.Combine(AppContext.BaseDirectory, "golden", "vgg16-conv5_3.safetensors"));
        for (int i = 0; i < s_names.Length; i++)
        {
            var expected = golden[s_names[i]].to(float64).view(512, 196).t().contiguous();     // (196, 512)
            var found = places[i].to(float64);
            double cosine = Cosine(expected, found), scale = found.norm().item<double>() / expected.norm().item<double>();
            output.WriteLine($"{encoder.Precision} {s_names[i]}: cosine {cosine:F7}, length ratio {scale:F5}");
            Assert.True(cosine >= least, $"{s_names[i]}: cosine {cosine}");
            Assert.InRange(scale, 0.99, 1.01);
        }
    }

    [Fact]
    public void A_photo_alone_has_the_places_it_has_in_a_batch_of_8()
    {
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, EncoderPrecision.Float32);
        Photo[] eight = [.. s_names.Select(Square), .. new[] { "flower", "rocket", "cat", "coffee" }.Select(Sample)];
        var together = encoder.Forward(Vgg16.Pixels(eight));
        foreach (int i in new[] { 0, 5, 7 })
        {
            var alone = encoder.Forward(Vgg16.Pixels([eight[i]]));
            Assert.True(together[i].allclose(alone[0], 1e-3, 1e-4), $"photo {i}: differs by {together[i].sub(alone[0]).abs().max().item<float>()}");
        }
    }

    [Fact]
    public void The_fastest_precision_runs()
    {
        var fastest = EncoderPrecision.Fastest(CPU);
        output.WriteLine($"fastest: {fastest}");
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU);
        var places = encoder.Forward(Vgg16.Pixels([Square("cat")]));
        Assert.Equal(encoder.Precision.Type, places.dtype);
        Assert.True(places.isfinite().all().item<bool>());
        Assert.True(places.to(float32).max().item<float>() > 1);
    }

    [Fact]
    public void A_missing_tensor_and_a_wrong_shape_are_named()
    {
        var weights = Safetensors.Load(DefaultModels.EncoderPath);
        foreach (string name in new[] { "features.0.weight", "features.28.bias" })
        {
            var refused = Refused(weights.Where(w => w.Key != name));
            Assert.Contains($"'{name}'", refused.Message);
        }
        var transposed = Refused(weights.Select(w => w.Key == "features.5.weight" ? KeyValuePair.Create(w.Key, w.Value.transpose(0, 1)) : w));
        Assert.Contains("'features.5.weight'", transposed.Message);
        Assert.Contains("[64, 128, 3, 3], expected [128, 64, 3, 3]", transposed.Message);
        var half = Refused(weights.Append(KeyValuePair.Create("classifier.3.weight", zeros(4, 4))));
        Assert.Contains("'classifier.0.weight'", half.Message);
    }

    [Fact]
    public void A_refused_file_leaves_no_tensor_behind()
    {
        using (NewDisposeScope())
            Safetensors.Save(_file, Safetensors.Load(DefaultModels.EncoderPath).Where(w => w.Key != "features.28.bias").ToDictionary());
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        Assert.Throws<ModelBundleException>(() => Vgg16.Load(_file, CPU, EncoderPrecision.Float32));
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
        Vgg16.Load(DefaultModels.EncoderPath, CPU, EncoderPrecision.BFloat16).Dispose();
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void The_default_weights_have_no_fc7()
    {
        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, EncoderPrecision.Float32);
        Assert.False(encoder.HasFc7);
        var refused = Assert.Throws<InvalidOperationException>(() => encoder.Fc7(zeros(1, 196, 512)));
        Assert.Contains("classifier.0", refused.Message);
    }

    [Fact]
    public void Full_weights_give_fc7_from_pool5_in_torchvisions_order()
    {
        // (output, input) → weight; an input of fc6 is channel · 49 + row · 7 + column of pool5.
        var fc6 = new (int Output, int Channel, int Row, int Column, float Weight)[]
            { (0, 0, 0, 0, 1), (1, 3, 2, 5, 0.5f), (1, 200, 6, 6, 2), (2, 511, 0, 6, -1), (2, 100, 3, 3, 0.25f), (4095, 42, 5, 1, 1.5f) };
        var fc7 = new (int Output, int Input, float Weight)[] { (0, 0, 1), (0, 1, 0.5f), (7, 2, 2), (7, 4095, -0.5f), (4095, 4095, 1), (9, 1, -1) };
        var bias6 = new (int, float)[] { (0, 0.5f), (1, -0.25f), (2, 3) };
        var bias7 = new (int, float)[] { (0, 1), (9, 0.125f), (100, 2), (101, -2) };

        var weights = Safetensors.Load(DefaultModels.EncoderPath);
        var weight6 = weights["classifier.0.weight"] = zeros(4096, 25088, float16);
        foreach (var (o, c, y, x, w) in fc6)
            weight6[o, c * 49 + y * 7 + x] = tensor(w, float16);
        var weight7 = weights["classifier.3.weight"] = zeros(4096, 4096, float16);
        foreach (var (o, i, w) in fc7)
            weight7[o, i] = tensor(w, float16);
        foreach (var (name, entries) in new[] { ("classifier.0.bias", bias6), ("classifier.3.bias", bias7) })
        {
            weights[name] = zeros(4096, float16);
            foreach (var (o, b) in entries)
                weights[name][o] = tensor(b, float16);
        }
        Safetensors.Save(_file, weights);

        using var encoder = Vgg16.Load(_file, CPU, EncoderPrecision.Float32);
        Assert.True(encoder.HasFc7);
        var places = encoder.Forward(Vgg16.Pixels([Square("cat"), Square("coffee")]));
        var found = encoder.Fc7(places);
        Assert.Equal([2, 4096], found.shape);
        int told = 0;
        for (int photo = 0; photo < 2; photo++)
        {
            float[] values = places[photo].data<float>().ToArray();                            // (14, 14, 512) flat
            float Pool(int c, int y, int x) =>
                new[] { (0, 0), (0, 1), (1, 0), (1, 1) }.Max(d => values[((2 * y + d.Item1) * 14 + 2 * x + d.Item2) * 512 + c]);
            var hidden = new float[4096];
            foreach (var (o, b) in bias6)
                hidden[o] += b;
            foreach (var (o, c, y, x, w) in fc6)
            {
                hidden[o] += w * Pool(c, y, x);
                told += Pool(c, y, x) > 0 ? 1 : 0;
            }
            var expected = new float[4096];
            foreach (var (o, b) in bias7)
                expected[o] += b;
            foreach (var (o, i, w) in fc7)
                expected[o] += w * Math.Max(hidden[i], 0);
            var direct = tensor(expected).relu();
            Assert.True(found[photo].allclose(direct, 1e-4, 1e-4));
        }
        Assert.True(told >= 3, "the photos do not excite the channels that the test looks at");
    }

    private ModelBundleException Refused(IEnumerable<KeyValuePair<string, Tensor>> weights)
    {
        Safetensors.Save(_file, weights.ToDictionary(w => w.Key, w => w.Value));
        return Assert.Throws<ModelBundleException>(() => Vgg16.Load(_file, CPU, EncoderPrecision.Float32));
    }

    private static double Cosine(Tensor a, Tensor b) => a.mul(b).sum().div(a.norm().mul(b.norm())).item<double>();

    private static Photo Square(string name) => Sample(Path.Combine("224", name + ".png"));

    private static Photo Sample(string name) =>
        Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", Path.HasExtension(name) ? name : name + ".jpg")));
}
