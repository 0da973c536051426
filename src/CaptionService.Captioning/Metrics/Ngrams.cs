using System.Runtime.InteropServices;

namespace CaptionService.Captioning.Metrics;

/// <summary>One to four tokens in a row; those past the length are default.</summary>
internal readonly record struct Ngram<T>(int Length, T First, T? Second, T? Third, T? Fourth)
{
    /// <summary>Longest n-gram the metrics count.</summary>
    public const int MaxLength = 4;
}

/// <summary>What BLEU and CIDEr count.</summary>
internal static class Ngrams
{
    /// <summary>The n-gram of 1 to 4 tokens that begins at a position of a sentence.</summary>
    public static Ngram<T> Of<T>(IReadOnlyList<T> sentence, int start, int length) where T : notnull => new(length, sentence[start],
        length > 1 ? sentence[start + 1] : default,
        length > 2 ? sentence[start + 2] : default,
        length > 3 ? sentence[start + 3] : default);

    /// <summary>How often each n-gram of 1 to 4 tokens occurs in a sentence.</summary>
    public static Dictionary<Ngram<T>, int> Count<T>(IReadOnlyList<T> sentence) where T : notnull
    {
        var counts = new Dictionary<Ngram<T>, int>(Ngram<T>.MaxLength * sentence.Count);
        for (int start = 0; start < sentence.Count; start++)
        {
            int left = Math.Min(Ngram<T>.MaxLength, sentence.Count - start);
            for (int length = 1; length <= left; length++)
                CollectionsMarshal.GetValueRefOrAddDefault(counts, Of(sentence, start, length), out _)++;
        }
        return counts;
    }
}
