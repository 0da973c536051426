using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Train;
using Xunit;

namespace CaptionService.Trainer.Tests.Train;

/// <summary>Which runs are warned and which are ended.</summary>
public sealed class CollapseTests
{
    private const double Guessing = 7;      // ln of 1,100 words

    private readonly List<string> _warnings = [];

    [Fact]
    public void A_run_that_learns_is_left_alone()
    {
        Assert.Null(Run([5, 4, 3.5, 3.2, 3.25, 3.1], same: 0.2).Useless);       // one small rise is noise
        Assert.Empty(_warnings);
    }

    [Fact]
    public void The_same_caption_for_most_photos_is_warned_of_and_ends_a_run_whose_loss_stands_still()
    {
        var at = Run([5, 5, 4.99, 5, 4.98], same: 0.9);
        Assert.Contains("90 % of the dev photos get the same caption", at.Useless);
        Assert.All(_warnings, code => Assert.Equal("same_captions", code));
        Assert.Equal(4, _warnings.Count);       // not of the first epoch: there it is normal

        _warnings.Clear();
        Assert.Null(Run([6, 5, 4.5, 4, 3.6, 3.4], same: 0.9).Useless);      // it still learns
        Assert.NotEmpty(_warnings);
        Assert.Null(Run([5, 5, 5, 5, 5, 5], same: 1, photos: 4).Useless);   // four photos say little
    }

    [Fact]
    public void A_rising_loss_is_warned_of_and_ends_the_third_time()
    {
        Assert.Null(Run([4, 4.5, 5], same: 0).Useless);
        Assert.Equal(["rising_loss", "rising_loss"], _warnings);
        Assert.Contains("lower learningRate", Run([4, 4.5, 5, 5.5], same: 0).Useless);
        Assert.Contains("lower learningRate", Run([4, 40], same: 0).Useless);       // worse than knowing nothing, twice over
    }

    [Fact]
    public void A_self_critical_epoch_that_spoils_the_model_ends_the_stage()
    {
        Assert.False(Reward([0.3, 0.4, 0.5], [0.41, 0.42, 0.43]).StageOver);
        Assert.Empty(_warnings);
        Assert.False(Reward([0.3, 0.4, 0.5], [0.43, 0.42, 0.41]).StageOver);
        Assert.Equal(["learnt_by_heart", "learnt_by_heart"], _warnings);
        _warnings.Clear();
        Assert.True(Reward([0.4, 0.2], [0.43, 0.43]).StageOver);
        Assert.True(Reward([0.4, 0.4], [0.43, 0.2]).StageOver);
        Assert.Equal(["self_critical_collapse", "self_critical_collapse"], _warnings);
    }

    private Position Reward(double[] rewards, double[] ciders)
    {
        var at = new Position();
        double best = 0;
        foreach (var (reward, cider) in rewards.Zip(ciders))
        {
            at = at with { LossSum = -reward, Summed = 1 };
            best = Math.Max(best, cider);
            at = Collapse.JudgeReward(at, new Scores([0, 0, 0, 0], cider, 0, 0, 0, 0, 0, [], []), best, (_, code, _) => _warnings.Add(code));
        }
        return at;
    }

    private Position Run(double[] losses, double same, int photos = 20)
    {
        var at = new Position();
        string[][] captions = [.. Enumerable.Range(0, photos).Select(i => i < same * photos ? ["a", "dog"] : new[] { "photo", $"{i}" })];
        var scores = new Scores([0, 0, 0, 0], 0, 0, 0, 0, 0, 0, captions, new double[photos]);
        foreach (double loss in losses)
            at = Collapse.Judge(at with { LossSum = loss, Summed = 1 }, scores, Guessing, (_, code, _) => _warnings.Add(code));
        return at;
    }
}
