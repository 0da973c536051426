using CaptionService.Captioning.Language;

namespace CaptionService.Captioning.Search;

/// <summary>What captions of a wording never say, as ids of a vocabulary.</summary>
public sealed class Wording
{
    private readonly int[] _never, _neverFirst;
    private readonly int[][] _phrases, _openings;                       // each of two words or more
    private readonly Dictionary<int, HashSet<int>> _unlessAfter = [];   // a word, and those it may follow

    /// <param name="gendered">Words that are not said; null: none.</param>
    /// <param name="openings">Words that no caption begins with.</param>
    /// <param name="vocabulary">The model's words.</param>
    public Wording(GenderedWords? gendered, IReadOnlyList<string[]> openings, Vocabulary vocabulary)
    {
        var never = new List<int>();
        for (int id = Vocabulary.Unknown + 1; id < vocabulary.Count && gendered is not null; id++)
        {
            string word = vocabulary.Decode([id])[0];
            if (!gendered.Contains(word))
                continue;
            if (gendered.UnlessAfter.TryGetValue(word, out string[]? before))
                _unlessAfter[id] = [.. vocabulary.Encode(before)];
            else
                never.Add(id);
        }
        int[][] begun = Known(openings);
        _never = [.. never];
        _neverFirst = [.. begun.Where(opening => opening.Length == 1).Select(opening => opening[0]), .. _unlessAfter.Keys];
        _openings = [.. begun.Where(opening => opening.Length > 1)];
        _phrases = Known(gendered?.Phrases ?? []);

        int[][] Known(IEnumerable<string[]> phrases) => [.. phrases.Select(vocabulary.Encode).Where(ids => !ids.Contains(Vocabulary.Unknown))];
    }

    /// <summary>The ids that no beam may take at a step, whatever its words are.</summary>
    /// <param name="length">Words of the beams before the step.</param>
    internal IEnumerable<int> Never(int length) => length == 0 ? _never.Concat(_neverFirst) : _never;

    /// <summary>Adds the ids that may not follow some words, at least one, to <paramref name="blocked"/>.</summary>
    internal void Block(ReadOnlySpan<int> words, long offset, List<long> blocked)
    {
        foreach (int[] opening in _openings)
        {
            if (words.SequenceEqual(opening.AsSpan(0, opening.Length - 1)))
                blocked.Add(offset + opening[^1]);
        }
        foreach (int[] phrase in _phrases)
        {
            if (words.EndsWith(phrase.AsSpan(0, phrase.Length - 1)))
                blocked.Add(offset + phrase[^1]);
        }
        foreach (var (word, before) in _unlessAfter)
        {
            if (!before.Contains(words[^1]))
                blocked.Add(offset + word);
        }
    }
}
