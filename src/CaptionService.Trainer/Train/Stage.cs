using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>One way to learn: what an epoch goes through, and what a step does.</summary>
/// <param name="students">One for each language; every step trains one.</param>
/// <param name="adam">Updates the weights of all of them.</param>
/// <param name="options">How.</param>
internal abstract class Stage(IReadOnlyList<Student> students, Adam adam, TrainingOptions options)
{
    private (Student Student, (Source Source, int[] Items)[] Sources)[]? _material;
    private int[]? _stepsOf;

    /// <summary>For events.</summary>
    public abstract string Name { get; }

    /// <summary>Epochs; learning rate and its fall.</summary>
    public abstract TrainingOptions Options { get; }

    /// <summary>Steps of all its epochs.</summary>
    public long Steps => StepsOf.Sum(steps => (long)steps);

    /// <summary>Steps of each of its epochs.</summary>
    public IReadOnlyList<int> StepsOf => _stepsOf ??= [.. Enumerable.Range(0, Options.Epochs)
        .Select(epoch => Material.Sum(of => (of.Sources.Sum(source => Drawn(source.Source, source.Items, epoch)) + Batch - 1) / Batch))];

    /// <summary>Items of a step.</summary>
    protected abstract int Batch { get; }

    private (Student Student, (Source Source, int[] Items)[] Sources)[] Material => _material ??= [.. students.Select(student =>
    {
        int[] photos = PhotosOfItems(student);
        return (student, student.Sources.Select(source =>
        {
            var (first, count) = source.Train.GetOffsetAndLength(student.Captions.Length);
            return (source, Enumerable.Range(0, photos.Length).Where(item => photos[item] >= first && photos[item] < first + count).ToArray());
        }).ToArray());
    })];

    /// <summary>The epoch of one of its steps, and which step of the epoch it is; after the last step, the epoch that would follow.</summary>
    public (int Epoch, int Step) At(long inStage)
    {
        int epoch = 0;
        for (; epoch < StepsOf.Count && inStage >= StepsOf[epoch]; epoch++)
            inStage -= StepsOf[epoch];
        return (epoch, (int)inStage);
    }

    /// <summary>The items an epoch goes through in random order, photos or captions: of each its photo.</summary>
    protected abstract int[] PhotosOfItems(Student student);

    /// <summary>Whether an epoch learns from captions that a model wrote.</summary>
    protected abstract bool LearnsFromModels(int epoch);

    /// <summary>The steps of an epoch: the student and the items of each. A function of seed and epoch, so that a resumed run takes up the same.</summary>
    /// <param name="epoch">Epoch of the stage: 0, 1, …</param>
    /// <param name="before">Epochs of the run before the stage.</param>
    public IReadOnlyList<(Student Student, int[] Items)> Epoch(int epoch, int before)
    {
        var random = new Random(unchecked(options.Seed * 31 + epoch + before));
        var steps = Material.SelectMany(of =>
        {
            int[] order = [.. of.Sources.SelectMany(source => Draw(source.Items, Drawn(source.Source, source.Items, epoch), random))];
            random.Shuffle(order);
            return order.Chunk(Batch).Select(items => (of.Student, items));
        }).ToArray();
        if (students.Count > 1)
            random.Shuffle(steps);
        return steps;
    }

    /// <summary>One update. Everything random is drawn from a generator seeded by the step, so that a resumed run draws the same.</summary>
    /// <param name="student">Who learns.</param>
    /// <param name="items">Which items.</param>
    /// <param name="step">Step of the run: 0, 1, 2, …</param>
    /// <param name="inStage">Step of the stage.</param>
    /// <returns>The loss, the mean negative log-likelihood of human captions, and the norm of the gradient.</returns>
    public (double Loss, double Nll, double Norm) Step(Student student, int[] items, long step, long inStage)
    {
        using var scope = NewDisposeScope();
        manual_seed(unchecked(options.Seed * 1_000_003L + step));
        var (loss, nll) = Learn(student, student.Augmentations.At(step), items, step);
        double norm = adam.Step(LearningRate.At(inStage, (double)Steps / Options.Epochs, Options), options.GradientNorm);
        return (loss, nll, norm);
    }

    /// <summary>A loss for the charts. Self-critical training's is the negative reward, which has a chart of its own.</summary>
    public static (string Name, double Value) Chart(Stage? stage, string name, double loss) =>
        stage is SelfCriticalStage ? ($"reward/{name}", -loss) : ($"loss/{name}", loss);

    /// <summary>Leaves the gradient of the loss in the parameters.</summary>
    protected abstract (double Loss, double Nll) Learn(Student student, FeatureSource features, int[] items, long step);

    private int Drawn(Source source, int[] items, int epoch) =>
        source.ModelWritten && !LearnsFromModels(epoch) ? 0 : (int)Math.Ceiling(source.Weight * items.Length);

    /// <summary>All items as many times as there are enough to draw, and a random choice of them for the rest.</summary>
    private static List<int> Draw(int[] items, int count, Random random)
    {
        var drawn = new List<int>(count);
        while (items.Length > 0 && drawn.Count + items.Length <= count)
            drawn.AddRange(items);
        if (drawn.Count < count)
        {
            int[] some = [.. items];
            random.Shuffle(some);
            drawn.AddRange(some.Take(count - drawn.Count));
        }
        return drawn;
    }
}
