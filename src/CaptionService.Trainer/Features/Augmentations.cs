using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer.Features;

/// <summary>The features of the training photos, one source for each augmentation that the options ask for.</summary>
/// <param name="sources">The unchanged photos first.</param>
internal sealed class Augmentations(params FeatureSource[] sources) : IDisposable
{
    /// <summary>The unchanged photos.</summary>
    public FeatureSource Original => sources[0];

    /// <summary>Every augmentation; the unchanged photos come first.</summary>
    public IReadOnlyList<FeatureSource> All => sources;

    /// <summary>Opens the features and encodes those that are not in the cache yet.</summary>
    /// <exception cref="DatasetException">A photo cannot be read, or has no features.</exception>
    public static Augmentations Open(Dataset dataset, string folder, PhotoEncoding encoding, TrainingOptions options, Progress progress, CancellationToken stop)
    {
        var opened = new List<FeatureSource>();
        try
        {
            Add(Augmentation.None);
            if (!opened[0].SingleVector)        // given features cannot be augmented
            {
                if (options.Mirror)
                    Add(Augmentation.Flip);
                if (options.Crop)
                    Add(Augmentation.Crop);
            }
            return new Augmentations([.. opened]);
        }
        catch
        {
            opened.ForEach(source => source.Dispose());
            throw;
        }

        void Add(Augmentation augmentation) => opened.Add(FeatureSource.Open(dataset, dataset.Train, folder, encoding, augmentation, progress, stop));
    }

    /// <summary>The augmentation of a step: a function of the step, and all are used equally often.</summary>
    public FeatureSource At(long step) => sources[(int)((ulong)(step * 2654435761L >> 16) % (ulong)sources.Length)];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var source in sources)
            source.Dispose();
    }
}
