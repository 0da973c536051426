using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning;

/// <summary>One step of a decoder for every beam of every photo that is still searched.</summary>
/// <param name="words">The beams' last words, (n, b) int64; at the first step b is 1 and all are <see cref="Vocabulary.Start"/>, after it b is the width.</param>
/// <param name="photos">Rows of the step before that remain, (n) int64, ascending; null when all do.</param>
/// <param name="parents">The beam of the step before, within its photo, that each beam continues, (n, b) int64; null at the first step.</param>
/// <returns>Log-probabilities of the next word, (n, b, V) float32 with V at least 4; the search disposes them.</returns>
/// <remarks>The arguments belong to the search, which disposes them after the step.</remarks>
public delegate Tensor DecodeStep(Tensor words, Tensor? photos, Tensor? parents);

/// <summary>How to search.</summary>
public sealed record BeamSearchOptions
{
    /// <summary>Hypotheses kept at each step: 1 (greedy) up.</summary>
    public int Width { get; init; } = CaptionOptions.DefaultBeamWidth;

    /// <summary>Hypotheses returned for each photo: 1 to <see cref="Width"/>.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Longest hypothesis in words, the end not counted: 1 up.</summary>
    public int MaxLength { get; init; } = 20;

    /// <summary>Exponent a of a hypothesis' score log p / length^a, where length counts its words and its end: 0 (none) up.</summary>
    public double LengthNormalization { get; init; } = CaptionOptions.DefaultLengthNormalization;

    /// <summary>No run of this many words occurs twice in a hypothesis: 1 up, or 0 to allow it.</summary>
    public int NoRepeatNgram { get; init; }

    /// <summary>Whether a word may not follow itself at once ("a dog dog").</summary>
    public bool NoWordTwice { get; init; }

    /// <summary>The search's defaults for a language, chosen on the English development split: no pair of words twice, no word
    /// twice in a row. Where a character is a word, both are part of the language (慢慢, 一个…一个): only runs of four are kept from repeating.</summary>
    public static BeamSearchOptions For(Tokenizer tokenizer) =>
        tokenizer.Spaced ? new() { NoRepeatNgram = 2, NoWordTwice = true } : new() { NoRepeatNgram = 4 };

    /// <summary>Ids never emitted, each below V, besides <c>&lt;pad&gt;</c>, <c>&lt;start&gt;</c> and <c>&lt;unk&gt;</c>.</summary>
    public IReadOnlyList<int> Forbidden { get; init; } = [];
}

/// <summary>One sequence of words found for a photo.</summary>
/// <param name="Words">Ids of the words, without start and end; never empty.</param>
/// <param name="WordLogProbabilities">Natural logarithm of each word's probability given those before it.</param>
/// <param name="LogProbability">Their sum and, when ended, that of the end.</param>
/// <param name="Score">What hypotheses are ranked by: log p / length^a.</param>
/// <param name="Ended">Whether the decoder ended it; if not, it was cut at the greatest length.</param>
/// <param name="Rows">For each word the row, photo · b + beam, of the step's (n, b) arguments whose output produced it: where a caller that keeps each step's attention finds the word's.</param>
public sealed record Hypothesis(int[] Words, float[] WordLogProbabilities, double LogProbability, double Score, bool Ended, int[] Rows);

/// <summary>Beam search over a step function for a whole batch of photos.</summary>
/// <remarks>
/// At each step the 2 · width best continuations of a photo's beams are looked at, so that width of them go on even if
/// all beams end. An end counts when it is among the width best. A photo leaves the batch as soon as no beam can still
/// enter its best <see cref="BeamSearchOptions.Count"/> ended hypotheses: log-probabilities only fall, so a beam's
/// score never exceeds log p / (maximum length + 1)^a.
/// </remarks>
public static class BeamSearch
{
    /// <summary>Searches the best hypotheses of each photo.</summary>
    /// <param name="photos">Number of photos, n at the first step: 0 up.</param>
    /// <param name="options">How to search; one for the whole batch.</param>
    /// <param name="step">The decoder, which keeps its own state and reorders it as told.</param>
    /// <param name="device">Where the tensors given to <paramref name="step"/> are made.</param>
    /// <returns>
    /// For each photo up to <see cref="BeamSearchOptions.Count"/> hypotheses, best first: ended ones, then, where too
    /// few ended, the best of those that did not. Fewer only when the vocabulary or what is forbidden leaves no more.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static IReadOnlyList<Hypothesis>[] Search(int photos, BeamSearchOptions options, DecodeStep step, Device device)
    {
        ArgumentNullException.ThrowIfNull(step);
        Check(photos, options);
        int width = options.Width;
        var all = new PhotoBeams[photos];
        for (int i = 0; i < photos; i++)
            all[i] = new PhotoBeams(options);

        // One entry a beam of a photo in the batch, (n, b): the last word, the beam it continues, log p so far.
        PhotoBeams[] batch = all;
        int beams = 1;
        var words = new long[photos];
        Array.Fill(words, Vocabulary.Start);
        long[]? parents = null, remaining = null;
        var totals = new float[photos];
        var blocked = new List<long>();

        using var noGrad = no_grad();
        for (int length = 0; batch.Length > 0; length++)
        {
            int n = batch.Length;
            using Tensor wordsTensor = tensor(words, [n, beams], device: device);
            using Tensor? remainingTensor = remaining is null ? null : tensor(remaining, device: device);
            using Tensor? parentsTensor = parents is null ? null : tensor(parents, [n, beams], device: device);
            using Tensor logProbabilities = step(wordsTensor, remainingTensor, parentsTensor); // (n, b, V)
            int vocabulary = (int)logProbabilities.shape[2];
            int candidates = Math.Min(2 * width, beams * vocabulary);
            double[] best = Best(logProbabilities, totals, options.Forbidden, blocked, length == 0, candidates); // (2, n, candidates)

            var stay = new List<int>(n);
            for (int i = 0; i < n; i++)
            {
                Span<double> scores = best.AsSpan(i * candidates, candidates);
                Span<double> indexes = best.AsSpan((n + i) * candidates, candidates);
                SortTies(scores, indexes);
                if (!batch[i].Advance(scores, indexes, vocabulary, length, row: i * beams))
                    stay.Add(i);
            }

            remaining = stay.Count == n ? null : new long[stay.Count];
            beams = width;
            words = new long[stay.Count * beams];
            parents = new long[stay.Count * beams];
            totals = new float[stay.Count * beams];
            blocked.Clear();
            var next = new PhotoBeams[stay.Count];
            for (int i = 0; i < next.Length; i++)
            {
                next[i] = batch[stay[i]];
                if (remaining is not null)
                    remaining[i] = stay[i];
                next[i].Fill(i * beams, words, parents, totals, vocabulary, blocked);
            }
            batch = next;
        }
        return Array.ConvertAll<PhotoBeams, IReadOnlyList<Hypothesis>>(all, photo => photo.Ranked());
    }

    /// <summary>The best continuations of each photo's beams: their log p, then beam · V + word, as one (2, n, count) array.</summary>
    private static double[] Best(Tensor logProbabilities, float[] totals, IReadOnlyList<int> forbidden, List<long> blocked, bool first, int count)
    {
        using DisposeScope scope = NewDisposeScope();
        // Implicit conversions to Scalar would leave native objects to the finalizer.
        using Scalar one = 1f, never = float.NegativeInfinity;
        long n = logProbabilities.shape[0], beams = logProbabilities.shape[1];
        Device device = logProbabilities.device;

        Tensor sums = logProbabilities.add(tensor(totals, [n, beams, 1], device: device), one); // (n, b, V)
        // The end of an empty caption is forbidden too.
        long[] columns = [Vocabulary.Pad, Vocabulary.Start, Vocabulary.Unknown, first ? Vocabulary.End : Vocabulary.Pad, .. forbidden];
        sums.index_fill_(2, tensor(columns, device: device), never);
        if (blocked.Count > 0)
            sums.view(-1).index_fill_(0, tensor(blocked.ToArray(), device: device), never);
        (Tensor values, Tensor indexes) = sums.view(n, -1).topk(count, 1); // (n, count)
        // float64 holds both exactly, so one copy brings them to the CPU.
        return stack([values.to(float64), indexes.to(float64)]).cpu().data<double>().ToArray();
    }

    /// <summary>Orders equal scores by beam, then word, which topk leaves open.</summary>
    private static void SortTies(Span<double> scores, Span<double> indexes)
    {
        for (int start = 0, end; start < scores.Length; start = end)
        {
            for (end = start + 1; end < scores.Length && scores[end] == scores[start];)
                end++;
            if (end > start + 1)
                indexes[start..end].Sort();
        }
    }

    private static void Check(int photos, BeamSearchOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(photos);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Width, 1, nameof(options.Width));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Count, 1, nameof(options.Count));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Count, options.Width, nameof(options.Count));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxLength, 1, nameof(options.MaxLength));
        ArgumentOutOfRangeException.ThrowIfNegative(options.NoRepeatNgram, nameof(options.NoRepeatNgram));
        if (!(options.LengthNormalization >= 0 && double.IsFinite(options.LengthNormalization)))
            throw new ArgumentOutOfRangeException(nameof(options), options.LengthNormalization, "LengthNormalization must be 0 or more.");
    }
}
