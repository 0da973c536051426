using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Training;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>One way to learn: what an epoch goes through, and what a step does.</summary>
internal abstract class Stage(CaptionDecoder decoder, Adam adam, FeatureSource features, FeatureSource? mirrored, TrainingOptions options)
{
    /// <summary>For events.</summary>
    public abstract string Name { get; }

    /// <summary>Epochs; learning rate and its fall.</summary>
    public abstract TrainingOptions Options { get; }

    /// <summary>What an epoch goes through in random order: photos or captions.</summary>
    public abstract int Items { get; }

    /// <summary>Items of a step.</summary>
    public abstract int Batch { get; }

    /// <summary>Steps of an epoch.</summary>
    public int StepsPerEpoch => (Items + Batch - 1) / Batch;

    /// <summary>Steps of all its epochs.</summary>
    public long Steps => (long)StepsPerEpoch * Options.Epochs;

    /// <summary>One update. Everything random is drawn from a generator seeded by the step, so that a resumed run draws the same.</summary>
    /// <param name="items">Which items.</param>
    /// <param name="step">Step of the run: 0, 1, 2, …</param>
    /// <param name="inStage">Step of the stage.</param>
    /// <returns>The loss, the mean negative log-likelihood of human captions, and the norm of the gradient.</returns>
    public (double Loss, double Nll, double Norm) Step(ReadOnlySpan<int> items, long step, long inStage)
    {
        using var scope = NewDisposeScope();
        manual_seed(unchecked(options.Seed * 1_000_003L + step));
        // Each step sees one view; both come up equally often over the epochs.
        var view = mirrored is not null && ((step * 2654435761L >> 16) & 1) == 1 ? mirrored : features;
        var (loss, nll) = Learn(decoder, view, items, step, inStage);
        double norm = adam.Step(LearningRate.At(inStage, StepsPerEpoch, Options), options.GradientNorm);
        return (loss, nll, norm);
    }

    /// <summary>Leaves the gradient of the loss in the parameters.</summary>
    protected abstract (double Loss, double Nll) Learn(CaptionDecoder decoder, FeatureSource view, ReadOnlySpan<int> items, long step, long inStage);
}
