using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Train;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

public sealed class WeightInterpolationTests
{
    [Theory]
    // The gain grows as the root of the way: 0.5 at a quarter of it, then 0.61, 0.71, 0.79, 0.87, 0.94.
    [InlineData(0.1, 0.875)]
    [InlineData(0.25, 0.625)]
    [InlineData(0.3, 0.5)]
    [InlineData(0.6, 0.25)]
    [InlineData(0.01, 1)]
    public void Weights_go_back_as_far_as_the_gain_allows(double giveUp, double expected)
    {
        using var scope = NewDisposeScope();
        using var weight = new Parameter(ones(3, 2));
        using var way = new WeightInterpolation([(weight, 2)]);
        using (no_grad())
            weight.copy_(ones(3, 2).times(5));
        var (share, start, learnt, now) = way.MoveBack(giveUp, Judge);
        Assert.Equal((expected, 10, 20), (share, start, learnt));
        Assert.Equal(10 + 10 * Math.Sqrt(share), now, 1e-6);
        Assert.Equal(1 + 4 * share, weight[0, 0].to(float64).item<double>(), 1e-6);
        Assert.Equal(5, weight[2, 1].to(float64).item<double>());       // the row of a word that the base model does not have

        double Judge() => 10 + 10 * Math.Sqrt((weight[0, 0].to(float64).item<double>() - 1) / 4);
    }

    [Fact]
    public void What_is_no_better_stays_as_it_was_learnt()
    {
        using var scope = NewDisposeScope();
        using var weight = new Parameter(zeros(2));
        using var way = new WeightInterpolation([(weight, 2)]);
        using (no_grad())
            weight.copy_(ones(2));
        Assert.Equal((1, 5, 4, 4), way.MoveBack(0.5, () => weight[0].to(float64).item<double>() == 1 ? 4 : 5));
        Assert.Equal(1, weight[0].to(float64).item<double>());
    }
}
