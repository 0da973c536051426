using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;

namespace CaptionService.Captioning.Tests.Search;

/// <summary>What a plain search finds.</summary>
internal sealed record Found(int[] Words, double LogProbability, double Score, bool Ended);

/// <summary>The searches as they are written down in papers: in full, beam by beam, group by group. Slow, and short enough to be read.</summary>
internal static class PlainSearches
{
    public static double Score(double logProbability, int length, BeamSearchOptions options) =>
        logProbability / Math.Pow(length, options.LengthNormalization);

    private static bool Repeats(int[] words, int n) =>
        n > 0 && words.Length >= n && Enumerable.Range(0, words.Length - n).Any(i => words.Skip(i).Take(n).SequenceEqual(words[^n..]));

    private static bool Allowed(int[] words, int word, BeamSearchOptions options) =>
        word == Vocabulary.End
            ? words.Length >= options.MinLength && !options.NeverLast.Contains(words[^1])
            : word > Vocabulary.Unknown && !options.Forbidden.Contains(word) && !Repeats([.. words, word], options.NoRepeatNgram)
                && !(options.NoWordTwice && options.Repeatable.Count > 0 && !options.Repeatable.Contains(word) && words.Contains(word))
                && !(options.NoWordTwice && words.Length > 0 && (words[^1] == word || (words.Length > 1 && options.Joins.Contains(words[^1]) && words[^2] == word)))
                && !(words.Length == options.MaxLength - 1 && options.NeverLast.Contains(word));

    public static IEnumerable<Found> Enumerate(RandomModel model, int photo, BeamSearchOptions options, int[] words, double total)
    {
        double[] next = model.Next(photo, words);
        if (Allowed(words, Vocabulary.End, options))
            yield return new Found(words, total + next[Vocabulary.End], Score(total + next[Vocabulary.End], words.Length + 1, options), true);
        for (int word = 4; word < next.Length && words.Length < options.MaxLength; word++)
        {
            if (!Allowed(words, word, options))
                continue;
            foreach (Found found in Enumerate(model, photo, options, [.. words, word], total + next[word]))
                yield return found;
        }
    }

    public static List<Found> PlainSearch(RandomModel model, int photo, BeamSearchOptions options, Func<int[], int, double>? favour = null)
    {
        List<(int[] Words, double Total)> alive = [([], 0)];
        List<Found> ended = [];
        while (true)
        {
            var ranked = alive
                .SelectMany(beam => model.Next(photo, beam.Words).Select((p, word) => (beam.Words, Word: word, Total: beam.Total + p + (favour?.Invoke(beam.Words, word) ?? 0))))
                .Where(c => Allowed(c.Words, c.Word, options))
                .OrderByDescending(c => c.Total).Take(2 * options.Width).ToList();
            var ends = ranked.Take(options.Width).Where(c => c.Word == Vocabulary.End).ToList();
            ended.AddRange(ends.Select(c => new Found(c.Words, c.Total, Score(c.Total, c.Words.Length + 1, options), true)));
            ended = ended.OrderByDescending(f => f.Score).Take(options.Count).ToList();
            var going = ranked.Where(c => c.Word != Vocabulary.End).Take(options.Width).ToList();
            if (going.Count == 0 || alive[0].Words.Length == options.MaxLength)
                break;
            alive = going.ConvertAll(c => ((int[])[.. c.Words, c.Word], c.Total));
            if (ended.Count == options.Count && (options.Width == 1 || Score(alive[0].Total, options.MaxLength + 1, options) <= ended[^1].Score))
                break;
        }
        return [.. ended, .. alive
            .Where(beam => beam.Words.Length > 0 && !ended.Any(f => f.Words == beam.Words))
            .Select(beam => new Found(beam.Words, beam.Total, Score(beam.Total, beam.Words.Length, options), false))
            .OrderByDescending(f => f.Score).Take(options.Count - ended.Count)];
    }

    private sealed class PlainGroup
    {
        public List<(int[] Words, double Total)> Alive = [([], 0)];
        public List<Found> Ended = [];
        public bool Over;
    }

    public static List<Found> DiverseSearch(RandomModel model, int photo, BeamSearchOptions options)
    {
        int size = options.Width / options.Groups, keep = Math.Min(size, options.Count);
        var groups = Enumerable.Range(0, options.Groups).Select(_ => new PlainGroup()).ToList();
        while (groups.Exists(group => !group.Over))
        {
            var taken = new List<int>();
            foreach (PlainGroup group in groups.Where(group => !group.Over))
            {
                var ranked = group.Alive
                    .SelectMany(beam => model.Next(photo, beam.Words).Select((p, word) => (beam.Words, Word: word, Total: beam.Total + p)))
                    .Where(c => Allowed(c.Words, c.Word, options))
                    .OrderByDescending(c => c.Total - options.Diversity * taken.Count(word => word == c.Word)).Take(2 * size).ToList();
                var known = groups.TakeWhile(other => other != group).SelectMany(other => other.Ended).Select(f => string.Join(' ', f.Words)).ToHashSet();
                group.Ended = group.Ended.Concat(ranked.Take(size).Where(c => c.Word == Vocabulary.End && !known.Contains(string.Join(' ', c.Words)))
                        .Select(c => new Found(c.Words, c.Total, Score(c.Total, c.Words.Length + 1, options), true)))
                    .OrderByDescending(f => f.Score).Take(keep).ToList();
                var going = ranked.Where(c => c.Word != Vocabulary.End).Take(size).ToList();
                if (going.Count == 0 || group.Alive[0].Words.Length == options.MaxLength)
                {
                    group.Over = true;
                    continue;
                }
                group.Alive = going.ConvertAll(c => ((int[])[.. c.Words, c.Word], c.Total));
                group.Over = group.Ended.Count == keep && (size == 1 || Score(group.Alive[0].Total, options.MaxLength + 1, options) <= group.Ended[^1].Score);
                if (!group.Over)
                    taken.AddRange(going.Select(c => c.Word));
            }
        }
        var found = groups.ConvertAll(group => group.Ended.Concat(group.Alive
            .Where(beam => beam.Words.Length > 0 && !group.Ended.Exists(f => f.Words == beam.Words))
            .Select(beam => new Found(beam.Words, beam.Total, Score(beam.Total, beam.Words.Length, options), false))
            .OrderByDescending(f => f.Score).Take(keep - group.Ended.Count)).ToList());
        return Enumerable.Range(0, keep).SelectMany(rank => found.Where(group => rank < group.Count).Select(group => group[rank]))
            .DistinctBy(f => string.Join(' ', f.Words)).Take(options.Count).OrderByDescending(f => f.Ended).ThenByDescending(f => f.Score).ToList();
    }
}
