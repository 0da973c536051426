using CaptionService.Captioning.Confidence;
using Xunit;

namespace CaptionService.Captioning.Tests.Confidence;

/// <summary>Against values computed by hand.</summary>
public sealed class ReliabilityTests
{
    private static readonly Prediction[] s_eight =
    [
        new(0, 0.9, false), new(1, 0.1, false), new(2, 0.3, true), new(3, 0.2, false), new(4, 0.6, true), new(5, 0.8, true), new(6, 0.4, false), new(7, 0.7, true),
    ];

    [Fact]
    public void Bins_and_error_are_those_of_the_sorted_predictions()
    {
        var bins = Reliability.Bins(s_eight, bins: 4);
        Assert.Equal([2, 2, 2, 2], bins.Select(b => b.Count));
        Assert.Equal([0, 0.5, 1, 0.5], bins.Select(b => b.Right));
        foreach (var (expected, bin) in new[] { 0.15, 0.35, 0.65, 0.85 }.Zip(bins))
            Assert.Equal(expected, bin.Confidence, 1e-12);
        Assert.Equal((0.15 + 0.15 + 0.35 + 0.35) / 4, Reliability.Ece(s_eight, bins: 4), 1e-12);
        // Three bins of 2, 3 and 3: (0.15 · 2 + |1.3 - 2| + |2.4 - 2|) / 8.
        Assert.Equal((0.3 + 0.7 + 0.4) / 8, Reliability.Ece(s_eight, bins: 3), 1e-12);
        // More bins than predictions: each is its own.
        Assert.Equal(8, Reliability.Bins(s_eight).Count);
        Assert.Equal((0.9 + 0.1 + 0.7 + 0.2 + 0.4 + 0.2 + 0.4 + 0.3) / 8, Reliability.Ece(s_eight), 1e-12);
    }

    [Fact]
    public void Brier_and_auroc()
    {
        Assert.Equal((0.81 + 0.01 + 0.49 + 0.04 + 0.16 + 0.04 + 0.16 + 0.09) / 8, Reliability.Brier(s_eight), 1e-12);
        Assert.Equal((2 + 3 + 3 + 3) / 16.0, Reliability.Auroc(s_eight), 1e-12);
        // A right one with the confidence of a wrong one: half a pair.
        Assert.Equal((2 + 3 + 3 + 3 + 3.5) / 20, Reliability.Auroc([.. s_eight, new(8, 0.9, true)]), 1e-12);
        Assert.Equal(0.5, Reliability.Auroc([new(0, 0.4, true), new(1, 0.4, false)]));
        Assert.Throws<ArgumentException>(() => Reliability.Auroc([new(0, 0.4, true)]));
    }

    [Fact]
    public void Coverage_tells_what_each_threshold_keeps() =>
        Assert.Equal([new(0.5, 0.5, 0.75), new(0.85, 0.125, 0), new(0.95, 0, null)], Reliability.Coverage(s_eight, [0.5, 0.85, 0.95]));

    [Fact]
    public void Perfect_confidences_are_simulated_alone_or_by_group()
    {
        // One bin of two coins: both fall alike with probability 1/2, and then the error is 1/2; as one group they always do.
        Prediction[] coins = [new(3, 0.5, true), new(3, 0.5, true)];
        Assert.Equal(0.25, Reliability.PerfectEce(coins, together: false, bins: 1), 0.03);
        Assert.Equal(0.5, Reliability.PerfectEce(coins, together: true, bins: 1), 1e-12);
        Assert.Equal(0, Reliability.PerfectEce([new(0, 1, false), new(1, 0, true)], together: false), 1e-12);
        Assert.Equal(Reliability.PerfectEce(s_eight, together: false), Reliability.PerfectEce(s_eight, together: false));
    }

    [Fact]
    public void The_interval_draws_whole_groups()
    {
        // Of two groups, both draws are the same one half the time: the error is then 1/2, else 0, as it is without resampling.
        // The mean of 1/4 is taken off. Drawn singly, twenty predictions would hardly ever reach 1/4.
        Prediction[] two = [.. Enumerable.Range(0, 20).Select(i => new Prediction(i % 2, 0.5, i % 2 == 0))];
        var (low, high) = Reliability.EceInterval(two, bins: 1);
        Assert.Equal(0, low);
        Assert.Equal(0.25, high, 0.03);
        Assert.Equal((0, 0), Reliability.EceInterval([new(0, 1, true), new(1, 0, false)]));
    }

    [Fact]
    public void Nothing_has_no_error()
    {
        Assert.Throws<ArgumentException>(() => Reliability.Ece([]));
        Assert.Throws<ArgumentException>(() => Reliability.Brier([]));
        Assert.Throws<ArgumentException>(() => Reliability.EceInterval([]));
    }
}
