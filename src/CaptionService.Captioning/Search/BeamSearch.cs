using CaptionService.Captioning.Language;
using CaptionService.Captioning.Ranking;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Search;

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

    /// <summary>Shortest that may end, in words: 1 to <see cref="MaxLength"/>.</summary>
    public int MinLength { get; init; } = 1;

    /// <summary>Exponent a of a hypothesis' score log p / length^a, where length counts its words and its end: 0 (none) up.</summary>
    public double LengthNormalization { get; init; } = CaptionOptions.DefaultLengthNormalization;

    /// <summary>No run of this many words occurs twice in a hypothesis: 1 up, or 0 to allow it.</summary>
    public int NoRepeatNgram { get; init; }

    /// <summary>Whether a word may not follow itself, at once ("a dog dog") or across one of <see cref="Joins"/> ("a white and white dog"), and
    /// where <see cref="Repeatable"/> are known, no other word occurs twice ("on the beach on a beach").</summary>
    public bool NoWordTwice { get; init; }

    /// <summary>Ids of the words that may occur twice; none: all.</summary>
    public IReadOnlyList<int> Repeatable { get; init; } = [];

    /// <summary>Ids of conjunctions.</summary>
    public IReadOnlyList<int> Joins { get; init; } = [];

    /// <summary>Ids never emitted, each below V, besides <c>&lt;pad&gt;</c>, <c>&lt;start&gt;</c> and <c>&lt;unk&gt;</c>.</summary>
    public IReadOnlyList<int> Forbidden { get; init; } = [];

    /// <summary>Ids, each below V, that no hypothesis ends on ("a dog with a"): not before its end, and not where it is cut at <see cref="MaxLength"/>.</summary>
    public IReadOnlyList<int> NeverLast { get; init; } = [];

    /// <summary>Groups that the beams are searched in: 1 (plain beam search) to <see cref="Width"/>, which it divides.</summary>
    public int Groups { get; init; } = 1;

    /// <summary>What a word costs a group for each beam of the groups before it that took the word at the same step, as log-probability: 0 up
    /// (Hamming diversity). It steers the choice only; hypotheses keep their true probabilities.</summary>
    public double Diversity { get; init; }

    /// <summary>Whether the hypotheses of a photo are searched for and ranked with what people are expected to say, where that is known, and ranked by
    /// what they have in common with each other, not by their scores; then all of the width are searched, whatever <see cref="Count"/>. With one group only.</summary>
    public bool Consensus { get; init; }

    /// <summary>The search's defaults for a language: ranked by consensus, no pair of words twice, no word
    /// twice in a row or, of what is to be seen, at all. Where a character is a word, both are part of the language (慢慢, 一个…一个): only runs of four are kept from repeating.
    /// No hypothesis ends on a word that leaves it unfinished.</summary>
    public static BeamSearchOptions For(Tokenizer tokenizer, Vocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(vocabulary);
        int[] Ids(IReadOnlyList<string> words) => [.. vocabulary.Encode(words).Where(id => id != Vocabulary.Unknown)];
        return new()
        {
            Consensus = true,
            NoRepeatNgram = tokenizer.Spaced ? 2 : 4,
            NoWordTwice = tokenizer.Spaced,
            Joins = Ids(tokenizer.Joins),
            Repeatable = Ids(tokenizer.Repeatable),
            NeverLast = Ids(tokenizer.NeverLast),
        };
    }

    /// <summary>The same search for hypotheses that differ: each of <see cref="Count"/> comes from a group of its own, the width rounded up to whole groups; ranked by their scores.</summary>
    /// <param name="diversity">0: the plain search, unchanged.</param>
    public BeamSearchOptions Diverse(double diversity) =>
        diversity == 0 ? this : this with { Groups = Count, Width = (Width + Count - 1) / Count * Count, Diversity = diversity, Consensus = false };
}

/// <summary>One sequence of words found for a photo.</summary>
/// <param name="Words">Ids of the words, without start and end; never empty.</param>
/// <param name="WordLogProbabilities">Natural logarithm of each word's probability given those before it.</param>
/// <param name="LogProbability">Their sum and, when ended, that of the end.</param>
/// <param name="Score">log p / length^a: what the search compares hypotheses by, where nothing is expected.</param>
/// <param name="Ended">Whether the decoder ended it; if not, it was cut at the greatest length.</param>
/// <param name="Rows">For each word the row, photo · b + beam, of the step's (n, b) arguments whose output produced it: where a caller that keeps each step's attention finds the word's.</param>
public sealed record Hypothesis(int[] Words, float[] WordLogProbabilities, double LogProbability, double Score, bool Ended, int[] Rows)
{
    /// <summary>How much it resembles the photo's other hypotheses, 0..1, where they are ranked by consensus; else 0.</summary>
    public double Agreement { get; init; }

    /// <summary>What the model expects people to say of the photo, compared to it (<see cref="ExpectedCider.Of"/>); 0 where it expects nothing.</summary>
    public double Expected { get; init; }
}

/// <summary>
/// Beam search over a step function for a whole batch of photos; with several groups, diverse beam search (Vijayakumar et
/// al. 2018, arXiv:1610.02424).
/// </summary>
/// <remarks>
/// At each step the 2 · width best continuations of a photo's beams are looked at, so that width of them go on even if
/// all beams end. An end counts when it is among the width best. A photo leaves the batch as soon as no beam can still
/// enter its best <see cref="BeamSearchOptions.Count"/> ended hypotheses: log-probabilities only fall, so a beam's
/// score never exceeds log p / (maximum length + 1)^a. Groups are such searches of width / groups beams each, one after the
/// other at every step; an end that a group before has found already is passed over.
/// Where it is known which pairs of words to expect, beams are compared by log p and the sum of their pairs' favours (as Fang et al. 2015,
/// arXiv:1411.4952, did with the words of a photo): what is found is what is said of this photo rather than of any. Since that sum may
/// grow, such a search can stop a little early; the probabilities it returns are the decoder's.
/// </remarks>
public static class BeamSearch
{
    /// <summary>Searches the best hypotheses of each photo.</summary>
    /// <param name="photos">Number of photos, n at the first step: 0 up.</param>
    /// <param name="options">How to search; one for the whole batch.</param>
    /// <param name="step">The decoder, which keeps its own state and reorders it as told.</param>
    /// <param name="device">Where the tensors given to <paramref name="step"/> are made.</param>
    /// <param name="expectation">What the photos' captions can expect, for a search with <see cref="BeamSearchOptions.Consensus"/> and for <see cref="Hypothesis.Expected"/>; null: nothing is known.</param>
    /// <returns>
    /// For each photo up to <see cref="BeamSearchOptions.Count"/> hypotheses, best first: ended ones, then, where too
    /// few ended, the best of those that did not; of several groups the best of each first. Fewer only when the vocabulary
    /// or what is forbidden leaves no more, or groups were cut in the same words.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static IReadOnlyList<Hypothesis>[] Search(int photos, BeamSearchOptions options, DecodeStep step, Device device, Expectation? expectation = null)
    {
        ArgumentNullException.ThrowIfNull(step);
        Check(photos, options);
        int count = options.Count, width = options.Width, size = width / options.Groups;
        if (options.Consensus)
            options = options with { Count = width };
        HashSet<int> neverLast = [.. options.NeverLast], joins = [.. options.Joins], repeatable = [.. options.Repeatable];
        var all = new PhotoBeams[photos];
        bool led = options.Consensus && expectation is not null;
        for (int i = 0; i < photos; i++)
        {
            int photo = i;
            all[i] = new PhotoBeams(options, neverLast, joins, repeatable, led ? word => expectation!.Pairs(photo, word) : null, led ? expectation!.PairCost : 0);
        }

        // One entry a beam of a photo in the batch, (n, b): the last word, the beam it continues, log p so far.
        PhotoBeams[] batch = all;
        int beams = 1;
        var words = new long[photos];
        Array.Fill(words, Vocabulary.Start);
        long[]? parents = null, remaining = null;
        var totals = new float[photos];
        var blocked = new List<long>();
        var favoured = new List<(long Column, float Value)>();

        using var noGrad = no_grad();
        for (int length = 0; batch.Length > 0; length++)
        {
            int n = batch.Length;
            using Tensor wordsTensor = tensor(words, [n, beams], device: device);
            using Tensor? remainingTensor = remaining is null ? null : tensor(remaining, device: device);
            using Tensor? parentsTensor = parents is null ? null : tensor(parents, [n, beams], device: device);
            using Tensor logProbabilities = step(wordsTensor, remainingTensor, parentsTensor); // (n, b, V)
            int vocabulary = (int)logProbabilities.shape[2];
            // At first all groups choose from the one beam. The others' words, width - size at most, may each put off a
            // continuation of every beam of a group: beyond so many, 2 · size come that nothing was taken from.
            int groups = length == 0 ? 1 : options.Groups;
            int candidates = Math.Min(size * (2 + width - size), beams / groups * vocabulary);
            long[] columns =
            [
                Vocabulary.Pad, Vocabulary.Start, Vocabulary.Unknown, length < options.MinLength ? Vocabulary.End : Vocabulary.Pad,
                .. options.Forbidden, .. length == options.MaxLength - 1 ? options.NeverLast : [],
            ];
            double[] best = Best(logProbabilities, totals, columns, blocked, favoured, groups, candidates); // (2, n, groups, candidates)

            var stay = new List<int>(n);
            int each = groups * candidates;
            for (int i = 0; i < n; i++)
            {
                Span<double> scores = best.AsSpan(i * each, each);
                Span<double> indexes = best.AsSpan((n + i) * each, each);
                for (int group = 0; group < groups; group++)
                    SortTies(scores.Slice(group * candidates, candidates), indexes.Slice(group * candidates, candidates));
                if (!batch[i].Advance(scores, indexes, candidates, vocabulary, length, row: i * beams))
                    stay.Add(i);
            }

            remaining = stay.Count == n ? null : new long[stay.Count];
            beams = width;
            words = new long[stay.Count * beams];
            parents = new long[stay.Count * beams];
            totals = new float[stay.Count * beams];
            blocked.Clear();
            favoured.Clear();
            var next = new PhotoBeams[stay.Count];
            for (int i = 0; i < next.Length; i++)
            {
                next[i] = batch[stay[i]];
                if (remaining is not null)
                    remaining[i] = stay[i];
                next[i].Fill(i * beams, words, parents, totals, vocabulary, blocked, favoured);
            }
            batch = next;
        }
        return [.. all.Select((beams, photo) =>
        {
            var found = beams.Ranked();
            if (expectation is not null)
                found = found.ConvertAll(hypothesis => hypothesis with { Expected = expectation.Of(photo, hypothesis.Words) });
            return options.Consensus ? Consensus.Rank(found, count, expectation?.Ranking ?? default) : found;
        })];
    }

    /// <summary>The best continuations of each group's beams: their log p, with what they are favoured by, then beam in the group · V + word, as one (2, n, groups, count) array.</summary>
    private static double[] Best(Tensor logProbabilities, float[] totals, long[] columns, List<long> blocked, List<(long Column, float Value)> favoured, int groups, int count)
    {
        using DisposeScope scope = NewDisposeScope();
        // Implicit conversions to Scalar would leave native objects to the finalizer.
        using Scalar one = 1f, never = float.NegativeInfinity;
        long n = logProbabilities.shape[0], beams = logProbabilities.shape[1];
        Device device = logProbabilities.device;

        Tensor sums = logProbabilities.add(tensor(totals, [n, beams, 1], device: device), one); // (n, b, V)
        if (favoured.Count > 0)
            sums.view(-1).index_add_(0, tensor(favoured.ConvertAll(f => f.Column).ToArray(), device: device), tensor(favoured.ConvertAll(f => f.Value).ToArray(), device: device), one);
        sums.index_fill_(2, tensor(columns, device: device), never);
        if (blocked.Count > 0)
            sums.view(-1).index_fill_(0, tensor(blocked.ToArray(), device: device), never);
        (Tensor values, Tensor indexes) = sums.view(n, groups, -1).topk(count, 2); // (n, groups, count)
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
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MinLength, 1, nameof(options.MinLength));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.MinLength, options.MaxLength, nameof(options.MinLength));
        ArgumentOutOfRangeException.ThrowIfNegative(options.NoRepeatNgram, nameof(options.NoRepeatNgram));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Groups, 1, nameof(options.Groups));
        if (options.Width % options.Groups != 0)
            throw new ArgumentOutOfRangeException(nameof(options), options.Groups, $"Groups must divide Width, {options.Width}.");
        if (options.Consensus && options.Groups > 1)
            throw new ArgumentOutOfRangeException(nameof(options), options.Groups, "Groups must be 1 where the hypotheses are ranked by consensus.");
        if (!(options.Diversity >= 0 && double.IsFinite(options.Diversity)))
            throw new ArgumentOutOfRangeException(nameof(options), options.Diversity, "Diversity must be 0 or more.");
        if (!(options.LengthNormalization >= 0 && double.IsFinite(options.LengthNormalization)))
            throw new ArgumentOutOfRangeException(nameof(options), options.LengthNormalization, "LengthNormalization must be 0 or more.");
    }
}
