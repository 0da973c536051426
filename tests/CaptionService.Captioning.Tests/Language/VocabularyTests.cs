using System.Text;
using CaptionService.Captioning.Language;
using Xunit;

namespace CaptionService.Captioning.Tests.Language;

public sealed class VocabularyTests
{
    private static readonly string[] Specials = ["<pad>", "<start>", "<end>", "<unk>"];

    private static Vocabulary Build(int minCount, params string[] captions) =>
        Vocabulary.Build(captions.Select(Tokenizer.For("de").Surfaces), minCount);

    private static IEnumerable<string> Lines(Vocabulary vocabulary) => Enumerable.Range(0, vocabulary.Count).Select(vocabulary.Display);

    [Fact]
    public void Words_come_by_falling_frequency_then_in_ordinal_order() =>
        Assert.Equal([.. Specials, "c", "a", "b", "ä"], Lines(Build(1, "c c c", "b a", "ä b a")));

    [Fact]
    public void Rare_words_are_left_out()
    {
        Vocabulary vocabulary = Build(2, "ein Hund", "ein Kind", "der Hund", "ein Hund und ein");
        Assert.Equal([.. Specials, "ein", "Hund"], Lines(vocabulary));
        Assert.Equal(Vocabulary.Unknown, vocabulary.Encode(["kind"])[0]);
    }

    [Fact]
    public void A_word_is_shown_in_the_casing_it_has_inside_captions()
    {
        Vocabulary vocabulary = Build(1, "Hunde spielen", "Hunde und hunde", "Zwei Hunde", "Zwei kleine Hunde", "Der der", "Nur", "Nur", "nur");
        string Shown(string word) => vocabulary.Display(vocabulary.Encode([word])[0]);
        Assert.Equal("Hunde", Shown("hunde")); // three casings inside captions, two of them with a capital
        Assert.Equal("der", Shown("der")); // a capital only as first word
        Assert.Equal("Nur", Shown("nur")); // only ever first
    }

    [Fact]
    public void A_caption_comes_back_from_its_ids()
    {
        var tokenizer = Tokenizer.For("de");
        string[] captions = ["Ein Hund spielt mit einem Kind.", "Zwei Frauen stehen am Strand."];
        var vocabulary = Vocabulary.Build(captions.Select(tokenizer.Surfaces), 1);
        foreach (string caption in captions)
        {
            int[] ids = vocabulary.Encode(tokenizer.Tokenize(caption));
            Assert.Equal(caption, tokenizer.Detokenize(ids.Select(vocabulary.Display).ToList()));
        }
    }

    [Fact]
    public void Special_words_cannot_be_typed() =>
        Assert.Equal([Vocabulary.Unknown, Vocabulary.Unknown], Build(1, "a").Encode(["<end>", "<pad>"]));

    [Fact]
    public void A_saved_vocabulary_loads_unchanged()
    {
        string path = Path.GetTempFileName();
        try
        {
            Vocabulary saved = Build(1, "ein Mädchen am See", "zwei Hunde");
            saved.Save(path);
            Assert.Equal("<pad>\n<start>\n<end>\n<unk>\nam\nein\nHunde\nMädchen\nSee\nzwei\n"u8.ToArray(), File.ReadAllBytes(path));
            Assert.Equal(Lines(saved), Lines(Vocabulary.Load(path)));

            File.WriteAllBytes(path, [.. Encoding.UTF8.GetBytes("<pad>\n<start>\n<end>\n<unk>\n"), 0xC3, 0x28, (byte)'\n']);
            Assert.Throws<VocabularyException>(() => Vocabulary.Load(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("", "must begin")]
    [InlineData("<pad>,<start>,<end>", "must begin")]
    [InlineData("<pad>,<end>,<start>,<unk>,a", "Line 2")]
    [InlineData("<pad>,<start>,<end>,<unk>,a,<unk>", "Line 6")]
    [InlineData("<pad>,<start>,<end>,<unk>,,a", "Line 5")]
    [InlineData("<pad>,<start>,<end>,<unk>,dog,Dog", "twice")]
    [InlineData("<pad>,<start>,<end>,<unk>,do\tg", "Line 5")]
    [InlineData("<pad>,<start>,<end>,<unk>,do\0g", "Line 5")]
    [InlineData("<pad>,<start>,<end>,<unk>,two words", "Line 5")]
    public void A_bad_vocabulary_is_refused_by_line(string lines, string message)
    {
        var refused = Assert.Throws<VocabularyException>(() => Vocabulary.Parse(lines.Length == 0 ? [] : lines.Split(',')));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_or_too_long_words_are_refused()
    {
        Assert.Throws<VocabularyException>(() => Vocabulary.Parse([.. Specials, new string('a', Vocabulary.MaxWordLength + 1)]));
        IEnumerable<string> million = Specials.Concat(Enumerable.Range(0, Vocabulary.MaxCount - 4).Select(i => $"w{i}"));
        Assert.Equal(Vocabulary.MaxCount, Vocabulary.Parse(million).Count);
        Assert.Throws<VocabularyException>(() => Vocabulary.Parse(million.Append("more")));
    }

    [Fact]
    public void An_id_out_of_range_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Build(1, "a").Display(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => Build(1, "a").Display(-1));
    }

    [Fact]
    public void Words_of_another_vocabulary_come_after_its_own_and_show_theirs()
    {
        string[] specials = ["<pad>", "<start>", "<end>", "<unk>"];
        var own = Vocabulary.Parse([.. specials, "a", "Pizza", "Hund"]);
        var both = own.With(Vocabulary.Parse([.. specials, "pizza", "a", "Giraffe"]));
        Assert.Equal([.. specials, "a", "pizza", "Hund", "Giraffe"], Enumerable.Range(0, both.Count).Select(both.Display));
        Assert.Equal(own.Encode(["a", "pizza", "hund"]), both.Encode(["a", "pizza", "hund"]));
    }
}
