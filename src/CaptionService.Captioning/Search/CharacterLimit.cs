using CaptionService.Captioning.Language;

namespace CaptionService.Captioning.Search;

/// <summary>How many characters the words of a vocabulary take in a sentence.</summary>
/// <param name="tokenizer">How the language joins them.</param>
/// <param name="vocabulary">The words.</param>
public sealed class WordLengths(Tokenizer tokenizer, Vocabulary vocabulary)
{
    /// <summary>Characters of each id, the blank before it included.</summary>
    internal int[] Each { get; } = [.. Enumerable.Range(0, vocabulary.Count).Select(id => vocabulary.Display(id).Length + (tokenizer.JoinsBefore(vocabulary.Display(id)) ? 0 : 1))];

    /// <summary>Characters of the first word of a sentence.</summary>
    internal int First(int id) => vocabulary.Display(id).Length;

    /// <summary>What a sentence takes besides its words.</summary>
    internal int FullStop { get; } = tokenizer.Detokenize(["x"]).Length - 1;

    /// <summary>What a caption that cannot end on a word needs for one more: in a language written with blanks a blank and three
    /// letters.</summary>
    internal int OneMore { get; } = tokenizer.Spaced ? 4 : 1;
}

/// <summary>A limit of a caption's characters, with which a search ends in time.</summary>
/// <param name="Most">Most characters of the sentence, its full stop included.</param>
/// <param name="Lengths">Of the words.</param>
public sealed record CharacterLimit(int Most, WordLengths Lengths)
{
    private readonly int _longest = Lengths.Each.Max();

    /// <summary>The ids that are too long for the first word.</summary>
    internal IEnumerable<int> NeverFirst() => Enumerable.Range(0, Lengths.Each.Length).Where(id => Lengths.First(id) > Most - Lengths.FullStop);

    /// <summary>Adds the ids for which no room is left after some words, at least one, to <paramref name="blocked"/>; among them the end, where
    /// these words are hardly a sentence.</summary>
    /// <param name="words">The words.</param>
    /// <param name="offset">What is added to an id.</param>
    /// <param name="blocked">Takes them.</param>
    /// <param name="unfinished">Words that a sentence seldom ends on; one that ends for want of room would ("a dog is on").</param>
    internal void Block(ReadOnlySpan<int> words, long offset, List<long> blocked, HashSet<int> unfinished)
    {
        int left = Most - Lengths.FullStop - Lengths.First(words[0]);
        foreach (int word in words[1..])
            left -= Lengths.Each[word];
        if (left >= _longest + Lengths.OneMore)
            return;
        if (unfinished.Contains(words[^1]))
            blocked.Add(offset + Vocabulary.End);
        for (int id = Vocabulary.Unknown + 1; id < Lengths.Each.Length; id++)
        {
            if (Lengths.Each[id] > left - (unfinished.Contains(id) ? Lengths.OneMore : 0))
                blocked.Add(offset + id);
        }
    }
}
