using CaptionService.Captioning.Language;

namespace CaptionService.Captioning.Search;

/// <summary>Every rule of a search about which word may not follow: no repetition, no end after a word that leaves a caption
/// unfinished, no words that a wording does without, none without room for them.</summary>
internal sealed class SearchConstraints(BeamSearchOptions options)
{
    private readonly HashSet<int> _neverLast = [.. options.NeverLast], _joins = [.. options.Joins], _repeatable = [.. options.Repeatable],
        _unfinished = [.. options.NeverLast, .. options.Repeatable];     // function words

    /// <summary>The ids that no beam may take at a step, whatever its words are.</summary>
    /// <param name="length">Words of the beams before the step.</param>
    public long[] Never(int length) => Array.ConvertAll<int, long>(
    [
        Vocabulary.Pad, Vocabulary.Start, Vocabulary.Unknown, length < options.MinLength ? Vocabulary.End : Vocabulary.Pad,
        .. options.Forbidden, .. length == options.MaxLength - 1 ? options.NeverLast : [],
        .. options.Wording?.Never(length) ?? [], .. length == 0 ? options.Characters?.NeverFirst() ?? [] : [],
    ], id => id);

    /// <summary>Adds the ids that may not follow some words.</summary>
    /// <param name="words">The words of a beam; at least one.</param>
    /// <param name="offset">What is added to an id: the index of the beam's id 0 in the step's scores.</param>
    /// <param name="blocked">Takes them.</param>
    public void Block(ReadOnlySpan<int> words, long offset, List<long> blocked)
    {
        int last = words[^1];
        if (options.NoWordTwice)
        {
            blocked.Add(offset + last);
            if (words.Length > 1 && _joins.Contains(last))
                blocked.Add(offset + words[^2]);
            foreach (int word in _repeatable.Count > 0 ? words : [])
            {
                if (!_repeatable.Contains(word))
                    blocked.Add(offset + word);
            }
        }
        // The words that once followed the last n-1 would repeat a run of n.
        int context = options.NoRepeatNgram - 1;
        for (int i = context; context >= 0 && i < words.Length; i++)
        {
            if (words.Slice(i - context, context).SequenceEqual(words[(words.Length - context)..]))
                blocked.Add(offset + words[i]);
        }
        if (_neverLast.Contains(last))
            blocked.Add(offset + Vocabulary.End);
        options.Wording?.Block(words, offset, blocked);
        options.Characters?.Block(words, offset, blocked, _unfinished);
    }
}
