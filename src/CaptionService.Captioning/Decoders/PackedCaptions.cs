using CaptionService.Captioning.Language;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// The captions of a training batch, packed as PyTorch's PackedSequence: rows by descending length, then all words
/// of step 0, all of step 1, …, so that no product is ever computed for padding.
/// </summary>
public sealed class PackedCaptions : IDisposable
{
    /// <summary>(M) int64: the word read at each position; <c>&lt;start&gt;</c> first.</summary>
    public Tensor Words { get; }

    /// <summary>(M) int64: the word to be predicted at each position; <c>&lt;end&gt;</c> last.</summary>
    public Tensor Targets { get; }

    /// <summary>Rows alive at each step, never growing; they sum to M.</summary>
    public int[] BatchSizes { get; }

    /// <summary>(R) int64: the photo each row describes.</summary>
    public Tensor Photos { get; }

    /// <summary>(R) int64: photo × <see cref="SlotsPerPhoto"/> + the row's position among its photo's captions.</summary>
    public Tensor Slots { get; }

    /// <summary>Largest number of captions of one photo in the batch.</summary>
    public int SlotsPerPhoto { get; }

    /// <summary>(M) int64: the row each packed position belongs to.</summary>
    public Tensor RowOfPosition { get; }

    /// <summary>Rows.</summary>
    public int Rows => BatchSizes[0];

    /// <param name="captions">For each photo its captions as word ids, without start and end. At least one caption in all.</param>
    /// <param name="device">Where the tensors go.</param>
    public PackedCaptions(IReadOnlyList<IReadOnlyList<int[]>> captions, Device device)
    {
        SlotsPerPhoto = captions.Max(c => c.Count);
        var rows = captions
            .SelectMany((list, photo) => list.Select((words, k) => (words, photo, slot: photo * SlotsPerPhoto + k)))
            .OrderByDescending(r => r.words.Length)     // stable: ties keep the order given
            .ToArray();
        int steps = rows[0].words.Length + 1;
        BatchSizes = new int[steps];
        foreach (var row in rows)
            for (int t = 0; t <= row.words.Length; t++)
                BatchSizes[t]++;

        int positions = BatchSizes.Sum();
        long[] words = new long[positions], targets = new long[positions], rowOf = new long[positions];
        for (int t = 0, m = 0; t < steps; t++)
        {
            for (int r = 0; r < BatchSizes[t]; r++, m++)
            {
                int[] caption = rows[r].words;
                words[m] = t == 0 ? Vocabulary.Start : caption[t - 1];
                targets[m] = t == caption.Length ? Vocabulary.End : caption[t];
                rowOf[m] = r;
            }
        }
        Words = Keep(words, device);
        Targets = Keep(targets, device);
        RowOfPosition = Keep(rowOf, device);
        Photos = Keep([.. rows.Select(r => (long)r.photo)], device);
        Slots = Keep([.. rows.Select(r => (long)r.slot)], device);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Words.Dispose();
        Targets.Dispose();
        Photos.Dispose();
        Slots.Dispose();
        RowOfPosition.Dispose();
    }

    private static Tensor Keep(long[] values, Device device) => tensor(values, device: device).DetachFromDisposeScope();
}
