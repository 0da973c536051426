using CaptionService.Captioning.Jobs;

namespace CaptionService.Trainer;

/// <summary>The features of the training photos in every view the options ask for.</summary>
internal sealed class TrainingViews : IDisposable
{
    private readonly FeatureSource[] _views;

    /// <param name="views">The photos as they are, then their other views.</param>
    public TrainingViews(params FeatureSource[] views)
    {
        _views = views;
    }

    /// <summary>The photos as they are.</summary>
    public FeatureSource Upright => _views[0];

    /// <summary>Every view, the photos as they are first.</summary>
    public IReadOnlyList<FeatureSource> All => _views;

    /// <summary>Opens the views, encoding what is not there yet.</summary>
    /// <exception cref="DatasetException">A photo cannot be read, or has no features.</exception>
    public static TrainingViews Open(Dataset dataset, string folder, PhotoEncoding encoding, TrainingOptions options, Progress progress, CancellationToken stop)
    {
        var opened = new List<FeatureSource>();
        try
        {
            Add(PhotoView.Upright);
            if (!opened[0].SingleVector)        // given features have one view
            {
                if (options.Mirror)
                    Add(PhotoView.Mirrored);
                if (options.Crop)
                    Add(PhotoView.Cropped);
            }
            return new TrainingViews([.. opened]);
        }
        catch
        {
            opened.ForEach(view => view.Dispose());
            throw;
        }

        void Add(PhotoView view) => opened.Add(FeatureSource.Open(dataset, dataset.Train, folder, encoding, view, progress, stop));
    }

    /// <summary>The view of a step: each step sees one, all come up equally often over the epochs.</summary>
    public FeatureSource At(long step) => _views[(int)((ulong)(step * 2654435761L >> 16) % (ulong)_views.Length)];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var view in _views)
            view.Dispose();
    }
}
