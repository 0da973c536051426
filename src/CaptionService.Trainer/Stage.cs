using CaptionService.Captioning.Training;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>One way to learn: what an epoch goes through, and what a step does.</summary>
/// <param name="lessons">One for each language that is learnt; every step is of one.</param>
/// <param name="adam">Updates the weights of all of them.</param>
/// <param name="options">How.</param>
internal abstract class Stage(IReadOnlyList<Lesson> lessons, Adam adam, TrainingOptions options)
{
    /// <summary>For events.</summary>
    public abstract string Name { get; }

    /// <summary>Epochs; learning rate and its fall.</summary>
    public abstract TrainingOptions Options { get; }

    /// <summary>Steps of an epoch.</summary>
    public int StepsPerEpoch => lessons.Sum(lesson => (Items(lesson) + Batch - 1) / Batch);

    /// <summary>Steps of all its epochs.</summary>
    public long Steps => (long)StepsPerEpoch * Options.Epochs;

    /// <summary>Items of a step.</summary>
    protected abstract int Batch { get; }

    /// <summary>What an epoch goes through in random order: photos or captions.</summary>
    protected abstract int Items(Lesson lesson);

    /// <summary>The steps of an epoch: of each the lesson and its items. A function of seed and epoch, so that a resumed run takes up the same.</summary>
    public IReadOnlyList<(Lesson Lesson, int[] Items)> Epoch(int epoch)
    {
        var random = new Random(unchecked(options.Seed * 31 + epoch));
        var steps = lessons.SelectMany(lesson =>
        {
            int[] order = [.. Enumerable.Range(0, Items(lesson))];
            random.Shuffle(order);
            return order.Chunk(Batch).Select(items => (lesson, items));
        }).ToArray();
        if (lessons.Count > 1)
            random.Shuffle(steps);
        return steps;
    }

    /// <summary>One update. Everything random is drawn from a generator seeded by the step, so that a resumed run draws the same.</summary>
    /// <param name="lesson">Of which lesson.</param>
    /// <param name="items">Which items.</param>
    /// <param name="step">Step of the run: 0, 1, 2, …</param>
    /// <param name="inStage">Step of the stage.</param>
    /// <returns>The loss, the mean negative log-likelihood of human captions, and the norm of the gradient.</returns>
    public (double Loss, double Nll, double Norm) Step(Lesson lesson, int[] items, long step, long inStage)
    {
        using var scope = NewDisposeScope();
        manual_seed(unchecked(options.Seed * 1_000_003L + step));
        var (loss, nll) = Learn(lesson, lesson.Views.At(step), items, step, inStage);
        double norm = adam.Step(LearningRate.At(inStage, StepsPerEpoch, Options), options.GradientNorm);
        return (loss, nll, norm);
    }

    /// <summary>Leaves the gradient of the loss in the parameters.</summary>
    protected abstract (double Loss, double Nll) Learn(Lesson lesson, FeatureSource view, int[] items, long step, long inStage);
}
