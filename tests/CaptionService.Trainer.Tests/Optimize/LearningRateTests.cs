using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Optimize;
using Xunit;

namespace CaptionService.Trainer.Tests.Optimize;

public sealed class LearningRateTests
{
    private static readonly TrainingOptions s_options = new() { LearningRate = 2e-3, WarmupSteps = 10, Epochs = 5, FinalLearningRate = 0.05 };
    private const int StepsPerEpoch = 20;

    [Fact]
    public void The_warm_up_grows_evenly_to_the_largest_rate()
    {
        for (int step = 0; step < 10; step++)
            Assert.Equal(2e-3 * (step + 1) / 10, LearningRate.At(step, StepsPerEpoch, s_options), 1e-12);
        Assert.Equal(2e-3, LearningRate.At(10, StepsPerEpoch, s_options), 1e-12);
        Assert.Equal(2e-3, LearningRate.At(0, StepsPerEpoch, s_options with { WarmupSteps = 0 }), 1e-12);
    }

    [Fact]
    public void The_cosine_is_half_way_in_the_middle_and_ends_at_its_last_share()
    {
        // From step 10 to step 100.
        Assert.Equal(2e-3 * (0.05 + 0.95 * 0.5), LearningRate.At(55, StepsPerEpoch, s_options), 1e-12);
        Assert.Equal(2e-3 * 0.05, LearningRate.At(100, StepsPerEpoch, s_options), 1e-12);
        Assert.Equal(2e-3 * 0.05, LearningRate.At(1000, StepsPerEpoch, s_options), 1e-12);
        for (int step = 10; step < 100; step++)
            Assert.True(LearningRate.At(step + 1, StepsPerEpoch, s_options) < LearningRate.At(step, StepsPerEpoch, s_options));
    }

    [Fact]
    public void A_warm_up_longer_than_the_training_never_leaves_the_range()
    {
        var options = s_options with { WarmupSteps = 500 };
        for (int step = 0; step < 600; step++)
            Assert.InRange(LearningRate.At(step, StepsPerEpoch, options), 1e-9, 2e-3);
    }

    // Keras' ExponentialDecay, the tutorial's: rate · decayRate^(step / decaySteps).
    [Fact]
    public void The_exponential_falls_by_its_factor_in_its_epochs()
    {
        var options = s_options with { Schedule = "exponential", WarmupSteps = 0, DecayRate = 0.5, DecayEpochs = 2 };
        foreach (int step in new[] { 0, 1, 20, 40, 77, 400 })
            Assert.Equal(2e-3 * Math.Pow(0.5, step / 40.0), LearningRate.At(step, StepsPerEpoch, options), 1e-12);
        Assert.Equal(2e-3 * 0.5, LearningRate.At(50, StepsPerEpoch, options with { WarmupSteps = 10 }), 1e-12);
    }
}
