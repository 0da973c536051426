using CaptionService.Captioning.Language;
using Xunit;

namespace CaptionService.Captioning.Tests.Language;

/// <summary>Which words state a sex.</summary>
public sealed class GenderedWordsTests
{
    [Theory]
    [InlineData("en", "A man's dog and her ball", "man her")]
    [InlineData("en", "A fireman, a schoolgirl and two cowboys", "fireman schoolgirl cowboys")]
    [InlineData("en", "A person in a German shirt with a doberman and a snowman, another human", "")]
    [InlineData("de", "Eine Fußballspielerin und ihr Freund, der Feuerwehrmann", "fußballspielerin ihr freund feuerwehrmann")]
    [InlineData("de", "Ein Schneemann auf einem Trampolin am Bordstein, Leute darin, Kinder im Wein", "")]
    [InlineData("de", "Ein Mensch mit Eltern, ein Skifahrer, eine Person", "")]
    [InlineData("zh", "一个弹吉他的男人和老奶奶", "男 老奶 奶奶")]
    [InlineData("zh", "打高尔夫的人在喝牛奶", "")]
    public void They_are_found_among_others(string language, string caption, string gendered) =>
        Assert.Equal(gendered.Split(' ', StringSplitOptions.RemoveEmptyEntries), GenderedWords.For(language)!.In(Tokenizer.For(language).Tokenize(caption)));

    [Fact]
    public void A_language_without_a_list_has_none() => Assert.Null(GenderedWords.For("fr"));

    [Theory]
    [InlineData("en")]
    [InlineData("de-AT")]
    [InlineData("zh")]
    public void What_stands_instead_states_none(string language)
    {
        GenderedWords words = GenderedWords.For(language)!;

        Assert.All(words.Classes.SelectMany(its => its.Instead), word => Assert.False(words.Contains(word), word));
        Assert.All(words.Classes.SelectMany(its => its.GivenUp), word => Assert.True(words.Contains(word), word));
    }
}
