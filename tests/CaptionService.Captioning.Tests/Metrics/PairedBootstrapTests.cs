using CaptionService.Captioning.Metrics;
using Xunit;

namespace CaptionService.Captioning.Tests.Metrics;

public sealed class PairedBootstrapTests
{
    [Fact]
    public void The_interval_is_the_normal_approximations_where_that_is_exact()
    {
        // 400 differences of mean 1 and standard deviation 2: the mean's is 0.1, so 95 % lie within 0.196.
        double[] second = [.. Enumerable.Range(0, 400).Select(i => (double)(i * 37 % 101))];
        double[] first = [.. second.Select((s, i) => s + (i % 2 == 0 ? 3 : -1))];

        var found = PairedBootstrap.Compare(first, second);

        Assert.Equal(1, found.Difference, 10);
        Assert.Equal(1 - 0.196, found.Low, 0.01);
        Assert.Equal(1 + 0.196, found.High, 0.01);
        Assert.True(found is { Better: true, Worse: false });
    }

    [Fact]
    public void Two_photos_give_the_three_means_there_are()
    {
        // Drawn twice from {0, 4}: mean 0 in a quarter of the resamples, 2 in half, 4 in a quarter.
        var found = PairedBootstrap.Compare([5, 9], [5, 5]);

        Assert.Equal(new PairedDifference(2, 0, 4), found);
        Assert.False(found.Better);
    }

    [Fact]
    public void A_constant_difference_has_no_spread_however_much_the_photos_differ()
    {
        Assert.Equal(new PairedDifference(-0.5, -0.5, -0.5), PairedBootstrap.Compare([1, 20, 300], [1.5, 20.5, 300.5]));
        Assert.True(PairedBootstrap.Compare([1, 20, 300], [1.5, 20.5, 300.5]).Worse);
    }

    [Fact]
    public void The_seed_decides_and_swapping_the_models_changes_the_sign()
    {
        double[] first = [1, 5, 2, 8, 3, 9, 4], second = [2, 3, 3, 5, 1, 9, 6];

        Assert.Equal(PairedBootstrap.Compare(first, second, 7), PairedBootstrap.Compare(first, second, 7));
        double[] roots = [.. Enumerable.Range(1, 40).Select(i => Math.Sqrt(i) % 1)];
        Assert.NotEqual(PairedBootstrap.Compare(roots, new double[40], 7), PairedBootstrap.Compare(roots, new double[40], 8));
        var (there, back) = (PairedBootstrap.Compare(first, second), PairedBootstrap.Compare(second, first));
        Assert.Equal(there.Low, -back.High, 10);
        Assert.Equal(there.Difference, -back.Difference, 10);
    }

    [Fact]
    public void Scores_must_be_as_many_and_some()
    {
        Assert.Throws<ArgumentException>(() => PairedBootstrap.Compare([1], [1, 2]));
        Assert.Throws<ArgumentException>(() => PairedBootstrap.Compare([], []));
    }
}
