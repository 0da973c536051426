using CaptionService.Captioning.Search;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Search;

/// <summary>
/// Next-word probabilities drawn at random for each photo and prefix. As a decoder does, it keeps its state (here
/// the prefix of each row) and moves it only as the search says, so that a wrong order is caught.
/// </summary>
internal sealed class RandomModel(int vocabulary, int seed, int photos, double endBias = 0, int firstPhoto = 0)
{
    public int Vocabulary { get; } = vocabulary;
    public int Photos { get; } = photos;
    public List<(int Photo, string Prefix)[]> Steps { get; } = [];

    public double[] Next(int photo, IEnumerable<int> words)
    {
        uint hash = words.Aggregate((uint)(seed * 7919 + (photo + firstPhoto) * 104729 + 17), (h, word) => (h ^ (uint)word) * 2654435761u + 12345u);
        var random = new Random((int)(hash & 0x7fffffff));
        double[] logits = Enumerable.Range(0, Vocabulary).Select(_ => 4 * random.NextDouble()).ToArray();
        logits[Captioning.Language.Vocabulary.End] += endBias;
        double sum = Math.Log(logits.Sum(Math.Exp));
        return Array.ConvertAll(logits, logit => logit - sum);
    }

    public IReadOnlyList<Hypothesis>[] Search(BeamSearchOptions options, Guide? guide = null)
    {
        (int Photo, int[] Words)[][] state = [];
        Steps.Clear();
        options = options with { Forbidden = [.. options.Forbidden.Where(id => id < Vocabulary)], NeverLast = [.. options.NeverLast.Where(id => id < Vocabulary)], Joins = [.. options.Joins.Where(id => id < Vocabulary)] };
        return BeamSearch.Search(Photos, options, (words, remaining, parents) =>
        {
            int n = (int)words.shape[0], b = (int)words.shape[1];
            long[] word = words.data<long>().ToArray();
            long[]? rows = remaining?.data<long>().ToArray(), from = parents?.data<long>().ToArray();
            state = from is null
                ? Enumerable.Range(0, n).Select(photo => new[] { (photo, Array.Empty<int>()) }).ToArray()
                : Enumerable.Range(0, n).Select(i => Enumerable.Range(0, b).Select(j =>
                {
                    (int photo, int[] prefix) = state[rows is null ? i : (int)rows[i]][from[i * b + j]];
                    return (photo, (int[])[.. prefix, (int)word[i * b + j]]);
                }).ToArray()).ToArray();
            Steps.Add(state.SelectMany(beams => beams).Select(s => (s.Photo, string.Join(' ', s.Words))).ToArray());
            float[] table = state.SelectMany(beams => beams).SelectMany(s => Next(s.Photo, s.Words)).Select(p => (float)p).ToArray();
            return tensor(table, [n, b, Vocabulary]);
        }, CPU, guide);
    }
}
