using CaptionService.Captioning.Language;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Search;

/// <summary>One step of a decoder for every beam of every photo that is still searched.</summary>
/// <param name="words">The beams' last words, (n, b) int64; at the first step b is 1 and all are <see cref="Vocabulary.Start"/>, after it b
/// is the width.</param>
/// <param name="photos">Rows of the step before that remain, (n) int64, ascending; null when all do.</param>
/// <param name="parents">The beam of the step before, within its photo, that each beam continues, (n, b) int64; null at the first
/// step.</param>
/// <returns>Log-probabilities of the next word, (n, b, V) float32 with V at least 4; the search changes and disposes them.</returns>
/// <remarks>The arguments belong to the search, which disposes them after the step.</remarks>
public delegate Tensor DecodeStep(Tensor words, Tensor? photos, Tensor? parents);

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
/// A <see cref="Guide"/> adds the bonuses of a beam's pairs of words to its log p while beams are compared (as Fang et al. 2015,
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
    /// <param name="guide">What guides the search of these photos; null: nothing.</param>
    /// <returns>
    /// For each photo up to <see cref="BeamSearchOptions.Count"/> hypotheses, best first: ended ones, then, where too
    /// few ended, the best of those that did not; of several groups the best of each first. Fewer only when the vocabulary
    /// or what is forbidden leaves no more, or groups were cut in the same words.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static IReadOnlyList<Hypothesis>[] Search(int photos, BeamSearchOptions options, DecodeStep step, Device device, Guide? guide = null)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentOutOfRangeException.ThrowIfNegative(photos);
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        int width = options.Width, size = width / options.Groups;
        var constraints = new SearchConstraints(options);
        var all = new PhotoBeams[photos];
        for (int i = 0; i < photos; i++)
        {
            int photo = i;
            all[i] = new PhotoBeams(options, constraints, guide is null ? null : word => guide.Bonuses(photo, word), guide?.PairPenalty ?? 0);
        }

        // One entry a beam of a photo in the batch, (n, b): the last word, the beam it continues, log p so far.
        PhotoBeams[] batch = all;
        int beams = 1;
        var words = new long[photos];
        Array.Fill(words, Vocabulary.Start);
        long[]? parents = null, remaining = null;
        var totals = new float[photos];
        var blocked = new List<long>();
        var bonuses = new List<(long Column, float Value)>();

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
            float[] scores = new float[n * groups * candidates];
            int[] indexes = new int[scores.Length];
            using (Tensor onCpu = logProbabilities.cpu(), sums = onCpu.contiguous())
                BestWords.Find(sums, totals, constraints.Never(length), blocked, bonuses, groups, scores, indexes);

            var stay = new List<int>(n);
            int each = groups * candidates;
            for (int i = 0; i < n; i++)
            {
                if (!batch[i].Advance(scores.AsSpan(i * each, each), indexes.AsSpan(i * each, each), candidates, vocabulary, length, row: i * beams))
                    stay.Add(i);
            }

            remaining = stay.Count == n ? null : new long[stay.Count];
            beams = width;
            words = new long[stay.Count * beams];
            parents = new long[stay.Count * beams];
            totals = new float[stay.Count * beams];
            blocked.Clear();
            bonuses.Clear();
            var next = new PhotoBeams[stay.Count];
            for (int i = 0; i < next.Length; i++)
            {
                next[i] = batch[stay[i]];
                if (remaining is not null)
                    remaining[i] = stay[i];
                next[i].Fill(i * beams, words, parents, totals, vocabulary, blocked, bonuses);
            }
            batch = next;
        }
        return Array.ConvertAll(all, IReadOnlyList<Hypothesis> (beams) => beams.Ranked());
    }
}
