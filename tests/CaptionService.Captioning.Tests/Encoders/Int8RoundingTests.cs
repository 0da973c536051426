using CaptionService.Captioning.Encoders;
using Xunit;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>Rounding of weights whose errors cancel.</summary>
public sealed class Int8RoundingTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 2)]
    [InlineData(256, 3)]
    public void Errors_of_a_kernel_and_of_a_channel_cancel(int kernels, int seed)
    {
        var random = new Random(seed);
        float[] weights = [.. Enumerable.Range(0, kernels * 9).Select(_ => random.NextSingle() * 200 - 100)];
        float[] rounded = [.. weights];
        Int8Rounding.Round(rounded, 127);
        float[] errors = [.. rounded.Zip(weights, (whole, weight) => whole - weight)];
        Assert.All(rounded, whole => Assert.Equal(MathF.Round(whole), whole));
        Assert.All(errors, error => Assert.InRange(error, -1.5f, 1.5f));
        // A kernel may be turned once more for its channel's sake.
        Assert.All(errors.Chunk(9), kernel => Assert.InRange(kernel.Sum(), -1.501f, 1.501f));
        Assert.InRange(errors.Sum(), -0.51f, 0.51f);
    }

    [Fact]
    public void Whole_numbers_stay_and_none_is_greater_than_a_byte()
    {
        float[] whole = [.. Enumerable.Range(-4, 9).Select(i => (float)i)], large = [126.9f, 126.9f, 126.9f, 126.5f, 126.5f, 126.5f, 126.4f, 126.4f, 127];
        float[] before = [.. whole];
        Int8Rounding.Round(whole, 127);
        Int8Rounding.Round(large, 127);
        Assert.Equal(before, whole);
        Assert.All(large, weight => Assert.InRange(weight, 125, 127));
    }
}
