using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Search;

/// <summary>Searches that do without some words, against the same searches of everything, sifted.</summary>
public sealed class WordingTests
{
    private static readonly Vocabulary s_words = Vocabulary.Parse(["<pad>", "<start>", "<end>", "<unk>", "a", "man", "'s", "person", "there"]);
    private static readonly Tokenizer s_english = Tokenizer.For("en");
    private static readonly BeamSearchOptions s_all = new() { Width = 6000, Count = 6000, MaxLength = 4 };    // wide enough that no end is too unlikely to count

    [Theory]
    [InlineData(8)]
    [InlineData(12)]
    [InlineData(17)]
    public void A_limit_of_characters_leaves_what_is_short_enough_and_nothing_longer(int most)
    {
        var model = new RandomModel(s_words.Count, seed: most, photos: 1);

        List<string> expected = [.. Ended(model, s_all).Where(text => text.Length <= most)];

        Assert.NotEmpty(expected);
        Assert.Equal(expected, Ended(model, s_all with { Characters = new CharacterLimit(most, new WordLengths(s_english, s_words)) }));
    }

    [Fact]
    public void Where_a_caption_cannot_end_on_a_word_there_is_room_for_one_more()
    {
        var model = new RandomModel(s_words.Count, seed: 1, photos: 1);
        var options = s_all with { Characters = new CharacterLimit(11, new WordLengths(s_english, s_words)), NeverLast = [4] };

        List<string> found = Ended(model, options);

        Assert.Contains("Man a man.", Ended(model, s_all with { NeverLast = [4] }));
        Assert.Contains("Man a man.", found);
        Assert.All(found, text => Assert.InRange(text.Length, 1, 11));
    }

    [Fact]
    public void Gendered_words_and_openings_are_not_said()
    {
        var model = new RandomModel(s_words.Count, seed: 5, photos: 1);

        List<string[]> expected = [.. Words(model, s_all).Where(words => !GenderedWords.For("en")!.In(words).Any() && !Openings.For("en").Any(opening => words.Take(opening.Length).SequenceEqual(opening)))];

        Assert.Contains(expected, words => words.Skip(1).Contains("there"));
        Assert.Equal(expected, Words(model, s_all with { Wording = new Wording(GenderedWords.For("en"), Openings.For("en"), s_words) }));
    }

    [Fact]
    public void A_guitar_is_no_man_in_Chinese()
    {
        var vocabulary = Vocabulary.Parse(["<pad>", "<start>", "<end>", "<unk>", "吉", "他", "奶", "男"]);
        var model = new RandomModel(vocabulary.Count, seed: 3, photos: 1);

        string[] found = [.. model.Search(s_all with { Wording = new Wording(GenderedWords.For("zh"), [], vocabulary) })[0].Select(each => string.Concat(vocabulary.Decode(each.Words)))];

        Assert.Contains("吉他奶", found);
        Assert.All(found, text => Assert.DoesNotMatch("(^|[^吉])他|奶奶|男", text));
    }

    [Fact]
    public void An_end_for_want_of_room_counts_only_where_it_is_likely()
    {
        var model = new RandomModel(s_words.Count, seed: 2, photos: 1);
        var found = model.Search(s_all with { LeastEnd = Math.Log(0.1) })[0];

        Assert.Contains(found, each => each.Ended);
        Assert.All(found.Where(each => each.Ended), each => Assert.True(each.LogProbability - each.WordLogProbabilities.Sum() >= Math.Log(0.1) - 1e-4));
    }

    [Fact]
    public void The_probability_of_words_that_are_given_up_goes_to_those_instead()
    {
        var vocabulary = Vocabulary.Parse(["<pad>", "<start>", "<end>", "<unk>", "ein", "kleiner", "junge", "kind", "mann", "mensch", "menschen"]);
        float[] probabilities = [0.01f, 0.01f, 0.08f, 0.1f, 0.1f, 0.1f, 0.2f, 0.1f, 0.2f, 0.06f, 0.04f];
        using var scope = NewDisposeScope();
        var pooled = new PooledWords(GenderedWords.For("de")!.Classes, vocabulary).Over((_, _, _) => tensor(Array.ConvertAll<float, float>([.. probabilities, .. probabilities], MathF.Log), [1, 2, probabilities.Length]), CPU);
        using var before = tensor(new long[] { 4, 5 }, [1, 2]);     // after "ein" and after "kleiner"

        using var steps = pooled(before, null, null);
        float[] found = Array.ConvertAll(steps.data<float>().ToArray(), MathF.Exp);

        float[] after = found[probabilities.Length..];
        Assert.Equal(0.3, found[7], 1e-4);      // ein Kind: Junge and Kind
        Assert.Equal(0.1, after[7], 1e-4);      // kleiner Kind is no German
        Assert.Equal(0.18, found[9], 1e-4);     // Mensch: its share of Mann
        Assert.Equal(0.12, after[10], 1e-4);
        Assert.Equal(0.1, found[5], 1e-4);
    }

    private static List<string> Ended(RandomModel model, BeamSearchOptions options) => Words(model, options).ConvertAll(words => s_english.Detokenize(words));

    private static List<string[]> Words(RandomModel model, BeamSearchOptions options) =>
        [.. model.Search(options)[0].Where(each => each.Ended).Select(each => Array.ConvertAll(each.Words, s_words.Display))];
}
