using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>The features of a split's photos: computed and cached (<see cref="FeatureCache"/>), or given with the data set.</summary>
public abstract class FeatureSource : IDisposable
{
    private const int Batch = 50;       // photos searched together

    /// <summary>Values of one feature vector.</summary>
    public abstract int Size { get; }

    /// <summary>Whether a photo is one vector instead of 196 places.</summary>
    public abstract bool SingleVector { get; }

    /// <summary>Opens the features that came with the data set, or those of its photos, which are computed where the cache lacks them.</summary>
    /// <param name="dataset">The data set.</param>
    /// <param name="photos">One of its splits; order = rows.</param>
    /// <param name="folder">Where the caches are.</param>
    /// <param name="encoding">What encodes them.</param>
    /// <param name="augmentation">What is done to the photos first; given features stay as they are.</param>
    /// <param name="progress">Called after each block.</param>
    /// <param name="stop">Ends the pass after the block under way.</param>
    /// <exception cref="DatasetException">A photo cannot be read, or has no features.</exception>
    public static FeatureSource Open(Dataset dataset, IReadOnlyList<CaptionedPhoto> photos, string folder, PhotoEncoding encoding, Augmentation augmentation, Progress progress, CancellationToken stop) =>
        dataset.FeaturesFile is { } file
            ? PrecomputedFeatures.Open(file, photos)
            : FeatureCache.Open(folder, photos, encoding, augmentation, progress, stop);

    /// <summary>Rows as a tensor.</summary>
    /// <returns>(N, 196, 512) float16, or (N, F) in the file's type; on the CPU, the caller's.</returns>
    public abstract Tensor Rows(IReadOnlyList<int> rows);

    /// <summary>Some of its rows, under their own numbers 0, 1, …; this source stays the owner of what they are read from.</summary>
    public FeatureSource Select(int[] rows) => new SelectedRows(this, rows);

    /// <summary>The rows, which are pool4, through the encoder's last block while it is learnt: every call uses its weights as they are then. Without a block, the rows themselves.</summary>
    internal FeatureSource Through(TunedEncoder? encoder) => encoder is null ? this : new Tuned(this, encoder);

    /// <summary>Searches the captions of rows, some together.</summary>
    /// <param name="decoder">Ready for search.</param>
    /// <param name="rows">Which, in what order.</param>
    /// <param name="search">How.</param>
    /// <param name="expected">What the model expects people to say; null: nothing.</param>
    /// <returns>Each row's hypotheses, in the order of <paramref name="rows"/>.</returns>
    internal IEnumerable<IReadOnlyList<RankedHypothesis>> Search(FrozenDecoder decoder, IEnumerable<int> rows, RankedSearch search, ExpectedCider? expected = null)
    {
        foreach (int[] some in rows.Chunk(Batch))
        {
            foreach (var found in SearchTogether(decoder, some, search, expected))
                yield return found;
        }
    }

    private IReadOnlyList<RankedHypothesis>[] SearchTogether(FrozenDecoder decoder, int[] rows, RankedSearch search, ExpectedCider? expected)
    {
        using var features = Rows(rows);
        using var onDevice = features.to(TorchRuntime.Device);
        using var means = ChannelMeans.Of(onDevice);
        using var state = decoder.Start(onDevice);
        return search.Run(rows.Length, state.Step, TorchRuntime.Device, expected?.Expect(means));
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    private sealed class Tuned(FeatureSource pool4, TunedEncoder encoder) : FeatureSource
    {
        public override int Size => pool4.Size;
        public override bool SingleVector => pool4.SingleVector;

        public override Tensor Rows(IReadOnlyList<int> rows)
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            return encoder.Forward(pool4.Rows(rows).to(TorchRuntime.Device)).to(ScalarType.Float16).cpu().MoveToOuterDisposeScope();
        }

        public override void Dispose()
        {
            // The owners do.
        }
    }

    private sealed class SelectedRows(FeatureSource all, int[] selected) : FeatureSource
    {
        public override int Size => all.Size;
        public override bool SingleVector => all.SingleVector;
        public override Tensor Rows(IReadOnlyList<int> rows) => all.Rows([.. rows.Select(row => selected[row])]);

        public override void Dispose()
        {
            // The owner does.
        }
    }
}
