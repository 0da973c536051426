namespace CaptionService.Trainer;

/// <summary>Signs, after each epoch, that a run leads nowhere: a warning with advice, then an end.</summary>
internal static class Collapse
{
    private const int FewPhotos = 8;            // of fewer dev photos, the same caption for most says little
    private const double Most = 0.5;            // share of the dev photos
    private const int SameEpochs = 5;
    private const int RisingEpochs = 3;

    /// <param name="at">After the epoch, its sums still in it.</param>
    /// <param name="scores">Of the epoch.</param>
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
}
