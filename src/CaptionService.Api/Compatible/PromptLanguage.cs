using System.Text;

namespace CaptionService.Api.Compatible;

/// <summary>
/// Whether a prompt is plainly German or Chinese. Chinese: at least half of its letters are Han, and none is kana or hangul. German: at least two of
/// its words are on a list of frequent German ones, and more of them than are on one of English ones. Words that are both are on neither.
/// </summary>
internal static class PromptLanguage
{
    private static readonly HashSet<string> s_german =
    [
        "der", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines", "und", "oder", "ist", "sind", "nicht", "kein", "keine", "mit", "auf", "für", "von", "vom",
        "zu", "zum", "zur", "im", "ich", "du", "sie", "wir", "bitte", "wie", "wer", "welche", "dieses", "diese", "dieser", "diesem", "diesen", "kurz", "kurze", "kurzen", "genau",
        "beschreibe", "beschreiben", "beschreib", "beschreibung", "erstelle", "schreibe", "nenne", "siehst", "zeigt", "bild", "bilder", "bildes", "foto", "fotos", "satz", "sätze", "sätzen",
        "bildunterschrift", "alternativtext", "deutsch", "deutsche", "deutscher", "sprache",
    ];

    private static readonly HashSet<string> s_english =
    [
        "the", "a", "an", "and", "or", "is", "are", "not", "no", "with", "on", "for", "of", "to", "in", "i", "you", "it", "we", "please", "how", "what", "which", "this", "that", "these",
        "short", "brief", "describe", "description", "generate", "write", "create", "image", "images", "picture", "photo", "sentence", "caption", "text", "english", "language",
    ];

    /// <returns><c>de</c>, <c>zh</c>, or null.</returns>
    public static string? Of(string? prompt)
    {
        if (string.IsNullOrWhiteSpace(prompt))
            return null;
        Rune[] letters = [.. prompt.EnumerateRunes().Where(Rune.IsLetter)];
        if (letters.Length > 0 && letters.Count(IsHan) * 2 >= letters.Length && !letters.Any(IsKanaOrHangul))
            return "zh";
        string[] words = [.. string.Concat(prompt.Select(c => char.IsLetter(c) ? char.ToLowerInvariant(c) : ' ')).Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        int german = words.Count(s_german.Contains);
        return german >= 2 && german > words.Count(s_english.Contains) ? "de" : null;
    }

    private static bool IsHan(Rune letter) => letter.Value is >= 0x3400 and <= 0x4DBF or >= 0x4E00 and <= 0x9FFF or >= 0xF900 and <= 0xFAFF or >= 0x20000 and <= 0x3FFFF;

    private static bool IsKanaOrHangul(Rune letter) => letter.Value is >= 0x3040 and <= 0x30FF or >= 0xAC00 and <= 0xD7AF;
}
