using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>The encoder's last block and what models change of it, with the shipped weights on real photos.</summary>
public sealed class EncoderAdapterTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.safetensors");

    public EncoderAdapterTests() => TorchRuntime.Configure();

    public void Dispose()
    {
        _scope.Dispose();
        File.Delete(_file);
    }

    [Fact]
    public void A_new_adapter_changes_nothing()
    {
        using var adapter = new EncoderAdapter(4);
        var pool4 = rand(2, Vgg16.Regions, Vgg16.Channels).times(10);
        using var plain = Conv5.Load(DefaultModels.EncoderPath, null, CPU, EncoderPrecision.Float32);
        using var adapted = Conv5.Load(DefaultModels.EncoderPath, adapter, CPU, EncoderPrecision.Float32);
        Assert.True(plain.Forward(pool4).equal(adapted.Forward(pool4)).all().item<bool>());
    }

    [Theory]
    [InlineData(ScalarType.Float32, true, 0.99999)]
    [InlineData(ScalarType.Float32, false, 0.99999)]
    [InlineData(ScalarType.BFloat16, true, 0.999)]
    public void A_change_is_that_of_the_weights(ScalarType type, bool channelsLast, double least)
    {
        using var adapter = Random(3);
        var weights = Safetensors.Load(DefaultModels.EncoderPath);
        var pool4 = rand(2, Vgg16.Regions, Vgg16.Channels).times(10);
        var expected = pool4.view(2, 14, 14, 512).permute(0, 3, 1, 2);
        foreach (int index in new[] { 24, 26, 28 })
        {
            var (a, b) = adapter.Factors(index);
            var whole = weights[$"features.{index}.weight"].to(float32).plus(einsum("or,rikl->oikl", b.view(512, 3), a).times(16));
            expected = nn.functional.conv2d(expected, whole, weights[$"features.{index}.bias"].to(float32), padding: [1L, 1L]).relu();
        }
        expected = expected.permute(0, 2, 3, 1).reshape(2, 196, 512);
        var precision = new EncoderPrecision(type, channelsLast);
        using var adapted = Conv5.Load(DefaultModels.EncoderPath, adapter, CPU, precision);
        using var plain = Conv5.Load(DefaultModels.EncoderPath, null, CPU, precision);
        Assert.True(Cosine(expected, adapted.Forward(pool4)) >= least);
        Assert.True(Cosine(expected, plain.Forward(pool4)) < 0.99);

        static double Cosine(Tensor x, Tensor y)
        {
            var (a, b) = (x.to(float64).flatten(), y.to(float64).flatten());
            return a.dot(b).item<double>() / (a.norm().item<double>() * b.norm().item<double>());
        }
    }

    [Fact]
    public void It_travels_with_a_model_under_the_names_of_PEFT()
    {
        using var bundle = new SmallBundle("top-down");
        using var adapter = Random(3);
        var card = BundleWriter.Save(bundle.Folder, bundle.Card, SmallBundle.Words, bundle.Decoder, adapter: adapter);
        Assert.Equal(Sha256.OfFile(bundle.File("adapter.safetensors")), card.Files["adapter.safetensors"]);
        var saved = Safetensors.Load(bundle.File("adapter.safetensors"));
        Assert.Equal(new[] { 24, 26, 28 }.SelectMany(i => new[] { $"features.{i}.lora_A.weight", $"features.{i}.lora_B.weight" }), saved.Keys.Order());
        Assert.Equal([3, 512, 3, 3], saved["features.24.lora_A.weight"].shape);
        Assert.Equal([512, 3, 1, 1], saved["features.28.lora_B.weight"].shape);
        using var loaded = ModelBundle.Load(bundle.Folder);
        using var back = EncoderAdapter.Load(loaded.AdapterPath!);
        Assert.Equal(3, back.Rank);
        Assert.True(back.Change(26).allclose(adapter.Change(26), 1e-2, 1e-4));
        File.AppendAllText(bundle.File("adapter.safetensors"), "x");
        Assert.Contains("was changed", Assert.Throws<ModelBundleException>(() => ModelBundle.Load(bundle.Folder)).Message);
    }

    [Fact]
    public void Files_that_are_none_are_refused_by_name()
    {
        using var adapter = Random(3);
        var weights = adapter.state_dict();
        Assert.Contains("features.24.lora_A.weight", Refused(weights.Where(w => !w.Key.StartsWith("features.24.lora_A", StringComparison.Ordinal))));
        Assert.Contains("features.28.lora_B.weight", Refused(weights.Where(w => !w.Key.StartsWith("features.28.lora_B", StringComparison.Ordinal))));
        Assert.Contains("shape [3, 512, 1, 1]", Refused(weights.Select(w => w.Key == "features.26.lora_A.weight" ? KeyValuePair.Create(w.Key, zeros(3, 512, 1, 1)) : w)));
        Assert.Contains("unknown", Refused(weights.Append(KeyValuePair.Create("features.21.lora_A.weight", zeros(1)))));
        Assert.Contains("rank 1 to 256", Refused(weights.Select(w => KeyValuePair.Create(w.Key, zeros(300, 512, 3, 3)))));

        string Refused(IEnumerable<KeyValuePair<string, Tensor>> weights)
        {
            Safetensors.Save(_file, weights.ToDictionary(w => w.Key, w => w.Value));
            return Assert.Throws<ModelBundleException>(() => EncoderAdapter.Load(_file)).Message;
        }
    }

    [Fact]
    public void Models_with_and_without_one_caption_a_batch_together_as_each_alone()
    {
        using var plain = new SmallBundle("top-down", seed: 5);
        using var changed = new SmallBundle("top-down", seed: 5);
        using var adapter = Random(3);
        BundleWriter.Save(changed.Folder, changed.Card, SmallBundle.Words, changed.Decoder, adapter: adapter);
        var encoders = new SharedEncoders();
        using var one = CaptionModel.Load(plain.Folder, precision: EncoderPrecision.Float32, encoders: encoders);
        using var other = CaptionModel.Load(changed.Folder, precision: EncoderPrecision.Float32, encoders: encoders);
        Assert.Same(one.Encoder, other.Encoder);
        other.WarmUp();
        Photo[] photos = [.. new[] { "cat", "coffee", "flower" }.Select(name => Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"))))];
        var options = new CaptionOptions { Count = 2, BeamWidth = 4, MaxLength = 8 };
        // Each model sees two of the three photos, and one of them both.
        CaptionJob[] jobs = [new(photos[0], options, one), new(photos[1], options, other), new(photos[1], options, one), new(photos[2], options, other)];
        var together = Captioner.Caption(jobs);
        Assert.Equal(3, together.Encoded);
        for (int i = 0; i < jobs.Length; i++)
        {
            var alone = jobs[i].Model.Caption([jobs[i].Photo], [options]).Photos[0];
            Assert.Equal(alone.Select(c => c.Text), together.Photos[i].Select(c => c.Text));
            Assert.Equal(alone[0].LogProbability, together.Photos[i][0].LogProbability, 1e-3);
        }
        Assert.NotEqual(together.Photos[1][0].LogProbability, together.Photos[2][0].LogProbability, 1e-2);
    }

    /// <summary>One whose change is about as large as the weights.</summary>
    private static EncoderAdapter Random(int rank)
    {
        manual_seed(11);
        var adapter = new EncoderAdapter(rank);
        using var noGrad = no_grad();
        foreach (int index in new[] { 24, 26, 28 })
            adapter.Factors(index).B.normal_(0, 0.03);
        return adapter;
    }
}
