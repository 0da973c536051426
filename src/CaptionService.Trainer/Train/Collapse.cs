using CaptionService.Trainer.Evaluate;

namespace CaptionService.Trainer.Train;

/// <summary>Looks after each epoch for signs that a run leads nowhere: first it warns, with advice, then it ends the run.</summary>
internal static class Collapse
{
    private const int FewPhotos = 8;            // of fewer dev photos, the same caption for most says little
    private const double Most = 0.5;            // share of the dev photos
    private const int SameEpochs = 5;
    private const int RisingEpochs = 3;

    /// <param name="at">After the epoch, its sums still in it.</param>
    /// <param name="scores">The scores of the epoch.</param>
    /// <param name="guessing">Loss of a model that knows nothing: ln of the vocabulary's size.</param>
    /// <param name="warn">Writes a warning.</param>
    /// <returns>With <see cref="Position.Useless"/> set where going on is useless.</returns>
    public static Position Judge(Position at, Scores scores, double guessing, Action<Position, string, string> warn)
    {
        double share = scores.Captions.Count < FewPhotos ? 0
            : (double)scores.Captions.GroupBy(c => string.Join(' ', c)).Max(g => g.Count()) / scores.Captions.Count;
        bool measured = at.Summed > 0, rises = measured && at.LastLoss > 0 && at.Loss > 1.02 * at.LastLoss;
        at = at with
        {
            Same = share > Most ? at.Same + 1 : 0,
            Rising = rises ? at.Rising + 1 : 0,
            FirstLoss = at.FirstLoss > 0 || !measured ? at.FirstLoss : at.Loss,
            LastLoss = measured ? at.Loss : at.LastLoss,
        };
        const string Lower = "lower learningRate, or lengthen warmupSteps";
        if (at.Same >= 2)
        {
            string what = $"{100 * share:F0} % of the dev photos get the same caption after {at.Same} such epochs: check that photos and captions belong together, train longer, or {Lower}.";
            warn(at, "same_captions", what);
            // In the first epochs that is normal; while the loss still falls, it may yet pass.
            if (at.Same >= SameEpochs && measured && at.LastLoss > 0.97 * at.FirstLoss)
                return at with { Useless = what };
        }
        if (at.Rising >= 1)
        {
            string what = $"The training loss rose to {at.Loss:F3}, {at.Rising} epochs in a row: {Lower}.";
            warn(at, "rising_loss", what);
            if (at.Rising >= RisingEpochs || at.Loss > Math.Max(2 * at.FirstLoss, 2 * guessing))
                return at with { Useless = what };
        }
        return at;
    }

    /// <summary>Judges a self-critical epoch, whose loss is the negative reward. Where it went wrong, the best epoch before it stays the model.</summary>
    /// <param name="at">After the epoch, its sums still in it.</param>
    /// <param name="scores">The scores of the epoch.</param>
    /// <param name="best">Best dev CIDEr so far, this epoch's included.</param>
    /// <param name="warn">Writes a warning.</param>
    /// <returns>With <see cref="Position.StageOver"/> set where going on is useless.</returns>
    public static Position JudgeReward(Position at, Scores scores, double best, Action<Position, string, string> warn)
    {
        double reward = -at.Loss, before = -at.LastLoss;
        bool fell = at.LastLoss < 0 && at.Summed > 0 && reward < 0.7 * before, worse = scores.Cider < 0.8 * best;
        if (fell || worse)
        {
            warn(at, "self_critical_collapse", (fell ? $"The reward fell from {before:F3} to {reward:F3}" : $"Dev CIDEr fell to {scores.Cider:F3}, from {best:F3}")
                + ": self-critical training ends here. Lower selfCriticalLearningRate, or raise anchor.");
        }
        else if (scores.Cider < best && at.LastLoss < 0 && reward > before)
        {
            warn(at, "learnt_by_heart", $"The reward on training photos rose to {reward:F3} while dev CIDEr fell to {scores.Cider:F3}: the captions are being learnt by heart. More dropout, or fewer selfCriticalEpochs, may help.");
        }
        return at with { StageOver = fell || worse, LastLoss = at.Summed > 0 ? at.Loss : at.LastLoss };
    }
}
