namespace CaptionService.Captioning.Language;

/// <summary>How text that stands for a photo does not begin: it says what is to be seen, not that something is, nor that this is a
/// photo.</summary>
public static class Openings
{
    /// <summary>The first words of such beginnings, lower-cased; none for a language that has no list here.</summary>
    /// <param name="language">BCP 47.</param>
    public static IReadOnlyList<string[]> For(string language) =>
        Tokenizer.SameLanguage(language, "en") ? English : Tokenizer.SameLanguage(language, "de") ? German : Tokenizer.SameLanguage(language, "zh") ? Chinese : [];

    private static readonly string[][] English =
    [
        .. Phrases("there|this is|it is|it 's|these are|here is|here are"),
        .. Phrases("photo|picture|image|photograph|photos|pictures|images|photographs|the photo|the picture|the image"),
        .. Joined("a|an|this|the|two|three|four|several|some|a black and white|a color|a blurry", "photo|picture|image|photograph|photos|pictures|images|photographs", "of|that|showing|shows"),
    ];

    private static readonly string[][] German =
    [
        .. Phrases("es|da|hier|man|foto|bild|fotos|bilder|das ist|das sind|dies ist|das bild|das foto|dieses bild|dieses foto|auf dem bild|auf dem foto|auf diesem|im bild|zu sehen"),
        .. Joined("ein|eine|zwei|ein schwarz-weißes|ein altes", "foto|bild|fotografie|aufnahme|fotos|bilder", "von|vom|eines|einer|mit|zeigt|auf|der|das|in|wo"),
    ];

    private static readonly string[][] Chinese =
    [
        .. "有 图 这是 这里有 这张 照片 那里有 画面 一张照 一张图 一幅图 一张黑白照".Split(' ').Select(phrase => phrase.Select(character => character.ToString()).ToArray()),
    ];

    private static IEnumerable<string[]> Phrases(string phrases) => phrases.Split('|').Select(phrase => phrase.Split(' '));

    private static IEnumerable<string[]> Joined(string first, string second, string third) =>
        from one in first.Split('|') from two in second.Split('|') from three in third.Split('|') select $"{one} {two} {three}".Split(' ');
}
