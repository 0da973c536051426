using CaptionService.Captioning.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Search;

/// <summary>
/// Gives the probability of words that are given up to those that may stand for them, each its share as the decoder prefers them: "a" is
/// followed by "person" as often as it was by "man", "woman" or "person" together. Words that are merely forbidden would leave a search
/// with what is likely beside them, which is often another thing altogether.
/// </summary>
public sealed class PooledWords
{
    private readonly (long[] GivenUp, long[] Instead, float[]? After)[] _classes;      // After: 1 or 0 for each id before; null: 1 for all

    /// <param name="classes">Which stand for which.</param>
    /// <param name="vocabulary">The model's words; those it does not know are left out.</param>
    public PooledWords(IReadOnlyList<WordClass> classes, Vocabulary vocabulary)
    {
        _classes = [.. classes.Select(its => (Known(its.GivenUp), Known(its.Instead), After(its))).Where(its => its.Item1.Length > 0 && its.Item2.Length > 0)];

        long[] Known(IReadOnlyList<string> words) => [.. vocabulary.Encode(words).Where(id => id != Vocabulary.Unknown).Select(id => (long)id)];

        float[]? After(WordClass its)
        {
            if (its.OnlyAfter.Count + its.NotAfter.Count == 0)
                return null;
            var after = new float[vocabulary.Count];
            Array.Fill(after, its.OnlyAfter.Count > 0 ? 0 : 1);
            foreach (long id in Known(its.OnlyAfter))
                after[id] = 1;
            if (its.OnlyAfter.Contains(""))
                after[Vocabulary.Start] = 1;
            foreach (long id in Known(its.NotAfter))
                after[id] = 0;
            return after;
        }
    }

    /// <summary>A decoder's steps with that done to their probabilities. The words that are given up keep theirs: the search must forbid
    /// them.</summary>
    /// <param name="step">The decoder's.</param>
    /// <param name="device">Where it steps. The ids are there once for the search, in the caller's scope.</param>
    public DecodeStep Over(DecodeStep step, Device device)
    {
        var classes = Array.ConvertAll(_classes, its => (GivenUp: tensor(its.GivenUp, device: device), Instead: tensor(its.Instead, device: device),
            After: its.After is null ? null : tensor(its.After, device: device)));
        return (words, photos, parents) =>
        {
            Tensor logP = step(words, photos, parents);                                     // (n, b, V)
            using var scope = NewDisposeScope();
            using Scalar one = 1f;
            foreach (var (givenUp, instead, after) in classes)
            {
                Tensor theirs = logP.index_select(2, instead), own = theirs.logsumexp(2, keepdim: true);
                Tensor both = own.logaddexp(logP.index_select(2, givenUp).logsumexp(2, keepdim: true));
                Tensor gain = both.sub(own);                                                // (n, b, 1)
                if (after is not null)
                    gain = gain.mul(after.index_select(0, words.reshape(-1)).view(gain.shape));
                logP.index_copy_(2, instead, theirs.add(gain, one));
            }
            return logP;
        };
    }
}
