using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Models;

public sealed class Int8WeightsTests : IDisposable
{
    private readonly TorchSharp.DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void A_matrix_is_stored_within_half_a_step_of_its_rows_largest_and_the_rest_in_fp16()
    {
        manual_seed(1);
        var weights = new Dictionary<string, Tensor> { ["m"] = randn(5, 64).times(3), ["empty"] = zeros(2, 64), ["narrow"] = randn(3, 63), ["v"] = randn(64) };
        var stored = Int8Weights.Narrow(weights);
        Assert.Equal(["empty", "empty_scale", "m", "m_scale", "narrow", "v"], stored.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((ScalarType.Int8, ScalarType.Float32, ScalarType.Float16), (stored["m"].dtype, stored["m_scale"].dtype, stored["narrow"].dtype));
        var back = Int8Weights.Widen(stored);
        Assert.Equal(weights.Keys.Order(StringComparer.Ordinal), back.Keys.Order(StringComparer.Ordinal));
        var error = back["m"].sub(weights["m"]).abs().amax([1L]);
        Assert.True(error.le(weights["m"].abs().amax([1L]).times(1.001 / 254)).all().item<bool>());
        Assert.True(error.max().item<float>() > 0);
        Assert.Equal(0, back["empty"].abs().max().item<float>());
    }

    [Fact]
    public void A_bundle_of_int8_weights_is_half_the_size_and_says_what_its_weights_say()
    {
        using var bundle = new SmallBundle("top-down", 1);
        string half = bundle.Folder + "-int8";
        try
        {
            var card = BundleWriter.SaveInt8(bundle.Folder, half);
            Assert.DoesNotContain(BundleFiles.Calibration, card.Files.Keys);
            Assert.True(new FileInfo(Path.Combine(half, BundleFiles.Decoder)).Length < 0.65 * new FileInfo(Path.Combine(bundle.Folder, BundleFiles.Decoder)).Length);
            using ModelBundle whole = ModelBundle.Load(bundle.Folder), stored = ModelBundle.Load(half);
            var expected = Int8Weights.Widen(Int8Weights.Narrow(whole.Decoder.state_dict()));
            foreach (var (name, weight) in stored.Decoder.state_dict())
                Assert.True(weight.equal(expected[name].to(ScalarType.Float32)).all().item<bool>(), name);
        }
        finally
        {
            Directory.Delete(half, recursive: true);
        }
    }

    [Theory]
    [InlineData("m_scale", null)]
    [InlineData("m_scale", 4)]
    public void A_matrix_without_its_scales_is_refused(string scale, int? rows)
    {
        var stored = Int8Weights.Narrow(new Dictionary<string, Tensor> { ["m"] = ones(5, 64) });
        stored.Remove(scale);
        if (rows is { } count)
            stored[scale] = ones(count);
        Assert.Contains("'m_scale', one value for each of its rows", Assert.Throws<ModelBundleException>(() => Int8Weights.Widen(stored)).Message);
    }
}
