using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Torch;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Decoders;

/// <summary>The decoder in 16-bit integers against the same weights in float32.</summary>
public sealed class TopDownInt16Tests
{
    private const int Vocabulary = 90, Places = 196;

    private static CaptionDecoder Decoder(int hidden = 128)
    {
        manual_seed(3);
        var decoder = CaptionDecoder.Create(new DecoderOptions { VocabularySize = Vocabulary, Embedding = 24, Hidden = hidden, Heads = 4, FeatureSize = 40 });
        using var noGrad = no_grad();
        foreach (var parameter in decoder.parameters())
            parameter.set_(parameter.times(3));         // so that words differ in what they are likely to be followed by
        decoder.eval();
        return decoder;
    }

    private static Tensor Features(int photos)
    {
        manual_seed(11);
        return randn(photos, Places, 40).relu_();
    }

    [Fact]
    public void It_gives_the_log_probabilities_and_attention_of_float32_whoever_leaves_or_goes_on()
    {
        if (!Int16Product.IsSupported)
            return;
        using var scope = NewDisposeScope();
        using var decoder = Decoder();
        using FrozenDecoder plain = decoder.Freeze(ScalarType.Float32), whole = decoder.FreezeForService(ScalarType.Float32);
        Assert.IsType<TopDownInt16>(whole);
        using DecoderState one = plain.Start(Features(4)), other = whole.Start(Features(4));
        var random = new Random(5);
        int photos = 4;
        for (int step = 0; step < 6; step++)
        {
            int beams = step == 0 ? 1 : 3;
            long[] stay = [.. Enumerable.Range(0, photos).Where(photo => step is not (3 or 4) || photo != 1)];      // then one leaves, and another
            var remaining = stay.Length == photos ? null : tensor(stay);
            photos = stay.Length;
            var parents = step == 0 ? null : tensor(Enumerable.Range(0, photos * beams).Select(_ => (long)random.Next(step == 1 ? 1 : beams)).ToArray(), [photos, beams]);
            var words = tensor(Enumerable.Range(0, photos * beams).Select(_ => (long)random.Next(Vocabulary)).ToArray(), [photos, beams]);
            Tensor expected = one.Step(words, remaining, parents), found = other.Step(words, remaining, parents);
            Assert.Equal(expected.shape, found.shape);
            float difference = found.sub(expected).std().item<float>(), all = expected.std().item<float>();
            Assert.True(all > 0.3 && difference < 0.01 * all, $"step {step}: log-probabilities spread by {all} differ by {difference}");
            Assert.True(other.Attention!.allclose(one.Attention!, 2e-2, 1e-4), $"step {step}: attention");
        }
    }

    [Fact]
    public void A_photo_gets_the_same_alone_as_among_others()
    {
        using var scope = NewDisposeScope();
        using var decoder = Decoder();
        using var frozen = decoder.FreezeForService(ScalarType.Float32);
        using DecoderState all = frozen.Start(Features(7)), alone = frozen.Start(Features(7).narrow(0, 5, 1));
        all.Step(ones(7, 1, ScalarType.Int64), null, null);
        alone.Step(ones(1, 1, ScalarType.Int64), null, null);
        Tensor words = tensor(new long[] { 5, 6 }, [1, 2]), parents = zeros(1, 2, ScalarType.Int64);
        Assert.True(all.Step(words.expand(7, 2).contiguous(), null, parents.expand(7, 2).contiguous())[5].allclose(alone.Step(words, null, parents)[0], 0, 1e-5));
    }

    [Fact]
    public void Sizes_that_fill_no_vectors_are_searched_in_floats()
    {
        using var decoder = Decoder(hidden: 100);
        using var frozen = decoder.FreezeForService(ScalarType.Float32);
        Assert.IsNotType<TopDownInt16>(frozen);
    }

    [Theory]
    [InlineData(64, 100)]
    [InlineData(1024, 64)]
    public unsafe void Products_are_those_of_floats_the_same_in_both_widths_and_for_each_row_alone(int inputs, int outputs)
    {
        if (!Int16Product.IsSupported)
            return;
        const int Rows = 12;
        using var scope = NewDisposeScope();
        manual_seed(1);
        Tensor weight = randn(outputs, inputs), bias = randn(outputs), x = randn(Rows, inputs);
        using Int16Product product = new(weight, bias), narrow = new(weight, bias) { IsWide = false };
        var expected = x.mm(weight.t()).plus(bias);
        Tensor whole = empty(Rows, inputs, ScalarType.Int16), scales = empty(Rows), found = Empty(), same = Empty(), alone = Empty();
        for (int row = 0; row < Rows; row++)
            scales.Pointer<float>()[row] = Int16Product.Round(x.Pointer<float>() + row * inputs, inputs, whole.Pointer<short>() + row * inputs);
        product.Multiply(whole.Pointer<short>(), inputs, scales.Pointer<float>(), Rows, found.Pointer<float>());
        narrow.Multiply(whole.Pointer<short>(), inputs, scales.Pointer<float>(), Rows, same.Pointer<float>());
        for (int row = 0; row < Rows; row++)
            product.Multiply(whole.Pointer<short>() + row * inputs, inputs, scales.Pointer<float>() + row, 1, alone.Pointer<float>() + row * product.Outputs);

        Assert.True(found.narrow(1, 0, outputs).sub(expected).norm().item<float>() < 1e-3 * expected.norm().item<float>());
        Assert.True(found.equal(same).all().item<bool>() && found.equal(alone).all().item<bool>());

        Tensor Empty() => empty(Rows, product.Outputs);
    }

    [Fact]
    public unsafe void The_greatest_sums_fit()
    {
        if (!Int16Product.IsSupported)
            return;
        const int Inputs = 2048;
        using var scope = NewDisposeScope();
        using var product = new Int16Product(ones(64, Inputs).times(7));
        Tensor x = ones(Inputs), whole = empty(Inputs, ScalarType.Int16), found = empty(64);
        float scale = Int16Product.Round(x.Pointer<float>(), Inputs, whole.Pointer<short>());
        product.Multiply(whole.Pointer<short>(), Inputs, &scale, 1, found.Pointer<float>());
        Assert.True(found.allclose(ones(64).times(7 * Inputs), 1e-2), found[0].item<float>().ToString());
    }

    [Fact]
    public unsafe void Exponentials_are_exact_and_what_is_no_number_stays_none()
    {
        float[] x = [.. Enumerable.Range(0, 1600).Select(i => -86 + i * 0.1f), .. Enumerable.Repeat(float.NaN, 16)];
        for (int i = 0; i < x.Length; i += VectorMath.Width)
        {
            var found = VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create(x, i));
            for (int j = 0; j < VectorMath.Width; j++)
            {
                double expected = Math.Exp(x[i + j]);
                Assert.True(double.IsNaN(expected) ? float.IsNaN(found[j]) : Math.Abs(found[j] - expected) <= 3e-7 * expected, $"{x[i + j]}: {found[j]}, not {expected}");
            }
        }
        float[] values = [1, 2, 3, .. Enumerable.Repeat(float.NegativeInfinity, 13)];
        fixed (float* v = values)
        {
            Assert.Equal(Math.Log(Math.Exp(1) + Math.Exp(2) + Math.Exp(3)), VectorMath.LogSumExp(v, 16), 1e-6);
            VectorMath.Softmax(v, 16);
            Assert.Equal(Math.Exp(3) / (Math.Exp(1) + Math.Exp(2) + Math.Exp(3)), values[2], 1e-6);
        }
    }
}
