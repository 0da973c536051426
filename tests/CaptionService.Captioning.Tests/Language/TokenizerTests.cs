using CaptionService.Captioning.Language;
using Xunit;

namespace CaptionService.Captioning.Tests.Language;

public sealed class TokenizerTests
{
    [Theory]
    [InlineData("en", "A man's hat , isn't it ?", "a|man|'s|hat|is|n't|it")]
    [InlineData("en", "the man 's hat is n't here .", "the|man|'s|hat|is|n't|here")]
    [InlineData("en", "They\u2019re at the dogs\u2019 park; I\u2019ll go", "they|'re|at|the|dogs|park|i|'ll|go")]
    [InlineData("en", "A tri-colored dog -- it 's 2.5 years , 13,406 days ...", "a|tri-colored|dog|it|'s|2.5|years|13,406|days")]
    [InlineData("en", "( \"free hugs\" ) ``sign'' 'n' {AT&T} 4-wheeler # 25!", "free|hugs|sign|n|at&t|4-wheeler|25")]
    [InlineData("en", "the o'clock bird's-eye-view", "the|o'clock|bird's-eye-view")]
    [InlineData("en-GB", "The dog's", "the|dog|'s")]
    [InlineData("en", "caught a ca\uD83D\uDC08t", "caught|a|ca|t")]
    [InlineData("de", "Ein schwarz-weißer/roter Hund, wie geht's? Rot- und", "ein|schwarz-weißer|roter|hund|wie|geht's|rot|und")]
    [InlineData("de", "Ma\u0308dchen u\u0308ber A\u0308pfeln", "mädchen|über|äpfeln")]
    [InlineData("zh", "穿白色T恤的625号，在DJ台上。", "穿|白|色|t|恤|的|625|号|在|dj|台|上")]
    [InlineData("zh", "\U00020000\U00020001人 hello world", "\U00020000|\U00020001|人|hello|world")]
    [InlineData("fr", "L'homme, là-bas : élève !", "l'homme|là-bas|élève")]
    [InlineData("ru", "Собака и\u0306 Кот.", "собака|й|кот")]
    [InlineData("en", " .,!? \t", "")]
    [InlineData("en", "", "")]
    public void Captions_are_split_into_words(string language, string caption, string words)
    {
        var tokenizer = Tokenizer.For(language);
        Assert.Equal(words, string.Join('|', tokenizer.Tokenize(caption)));
        Assert.Equal(words, string.Join('|', tokenizer.Surfaces(caption).Select(word => word.ToLowerInvariant())));
    }

    [Fact]
    public void Surfaces_keep_their_casing() =>
        Assert.Equal(["The", "American", "'S", "T-Shirt"], Tokenizer.For("en").Surfaces("The American'S T-Shirt."));

    [Theory]
    [InlineData("en", "a|man|'s|hat|is|n't|red", "A man's hat isn't red.")]
    [InlineData("en", "two|American|dogs", "Two American dogs.")]
    [InlineData("de", "über|den|Hund", "Über den Hund.")]
    [InlineData("zh", "两|个|NBA|球|员", "两个NBA球员。")]
    [InlineData("zh", "hello|kitty|\U00020000|人", "Hello kitty\U00020000人。")]
    [InlineData("fr", "l'homme|court", "L'homme court.")]
    [InlineData("en", "", "")]
    public void Words_are_written_as_a_person_does(string language, string words, string text) =>
        Assert.Equal(text, Tokenizer.For(language).Detokenize(words.Split('|')));

    [Fact]
    public void A_phrase_has_no_capital_and_no_full_stop() =>
        Assert.Equal("a man's hat", Tokenizer.For("en").Detokenize(["a", "man", "'s", "hat"], sentence: false));

    [Fact]
    public void A_language_must_be_named() => Assert.Throws<ArgumentException>(() => Tokenizer.For(" "));

    [Fact]
    public void Writing_and_splitting_again_gives_the_same_words()
    {
        string[] words = ["a", "the", "man", "'s", "n't", "t-shirt", "2.5", "25", "o'clock", "at&t", "人", "\U00020000", "é"];
        var random = new Random(1);
        foreach (string language in new[] { "en", "zh", "de" })
        {
            var tokenizer = Tokenizer.For(language);
            for (int i = 0; i < 500; i++)
            {
                // A clitic follows a word of letters; beside another it would not be English.
                List<string> caption = ["a"];
                while (caption.Count < 10)
                {
                    string word = words[random.Next(words.Length)];
                    if (!(word is "'s" or "n't") || caption[^1] is "a" or "the" or "man")
                        caption.Add(word);
                }
                if (language == "en" || !caption.Contains("n't"))
                    Assert.Equal(caption, tokenizer.Tokenize(tokenizer.Detokenize(caption)));
            }
        }
    }

    [Theory]
    [InlineData("en", "I \u2764\uFE0F my dog \uD83D\uDC36", "i|my|dog")]        // an emoji and its variation selector are no words
    [InlineData("th", "แมวดำ", "แ|ม|ว|ด|ำ")]
    [InlineData("th", "น้ำที่", "น้|ำ|ที่")]                                   // a letter with its marks
    [InlineData("my", "ခွေး", "ခွေး")]
    public void Languages_without_blanks_are_cut_by_letter(string language, string text, string words) =>
        Assert.Equal(words.Split('|'), Tokenizer.For(language).Tokenize(text));

    [Theory]
    [InlineData("Hu\u0308ndin", "Hündin")]
    [InlineData("Vie\u0323\u0302t", "Việt")]
    [InlineData("か\u3099", "が")]
    [InlineData("\u1112\u1161\u11AB", "한")]
    [InlineData("cafe\u0301", "café")]
    public void Decomposed_letters_are_composed(string decomposed, string composed) => Assert.Equal(composed, Tokenizer.Compose(decomposed));
}
