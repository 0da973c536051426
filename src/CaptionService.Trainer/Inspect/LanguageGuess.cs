using System.Text.RegularExpressions;

namespace CaptionService.Trainer.Inspect;

/// <summary>
/// Whether a caption may be of the language it is said to be: by its script, and among languages of one script by
/// their commonest words. It answers "no" only when it is sure, since most captions are a few words.
/// </summary>
internal static partial class LanguageGuess
{
    private static readonly Dictionary<string, HashSet<string>> s_common = new()
    {
        ["en"] = Words("the a an of with and is are to at his her while by from as through wearing standing"),
        ["de"] = Words("ein eine einem einen einer der das und mit auf im ist sind den dem vor trägt während sich zwei"),
        ["fr"] = Words("un une le les et avec sur dans est des du au deux qui homme femme"),
        ["es"] = Words("una el los las y con en del está por un que dos hombre mujer"),
        ["it"] = Words("un una il di con e su nel che gli della uomo donna sta"),
        ["pt"] = Words("um uma os com em na está da homem mulher"),
        ["nl"] = Words("een het en met op van zijn de aan die twee"),
    };

    private static readonly Dictionary<string, string[]> s_scripts = new()
    {
        ["zh"] = ["Han"], ["ja"] = ["Han", "Kana"], ["ko"] = ["Hangul", "Han"], ["ru"] = ["Cyrillic"], ["uk"] = ["Cyrillic"], ["bg"] = ["Cyrillic"],
        ["sr"] = ["Cyrillic", "Latin"], ["el"] = ["Greek"], ["he"] = ["Hebrew"], ["ar"] = ["Arabic"], ["fa"] = ["Arabic"], ["ur"] = ["Arabic"],
        ["hi"] = ["Devanagari"], ["mr"] = ["Devanagari"], ["th"] = ["Thai"],
    };

    /// <summary>Whether a caption is surely of another language.</summary>
    /// <param name="words">Its words, lower-cased.</param>
    /// <param name="language">The language it is said to be (BCP 47).</param>
    public static bool IsOther(IReadOnlyList<string> words, string language)
    {
        string primary = language.Split('-', '_')[0].ToLowerInvariant();
        int letters = 0, expected = 0;
        foreach (char c in words.SelectMany(w => w))
        {
            if (Script(c) is not { } script)
                continue;
            letters++;
            expected += s_scripts.TryGetValue(primary, out var scripts) ? (scripts.Contains(script) ? 1 : 0) : script == "Latin" ? 1 : 0;
        }
        if (letters >= 3 && 2 * expected < letters)
            return true;
        if (!s_common.TryGetValue(primary, out var own) || words.Any(own.Contains))
            return false;
        return s_common.Any(language => language.Key != primary && words.Count(language.Value.Contains) >= 2);
    }

    /// <summary>Whether a caption is a file's name or number instead of a sentence.</summary>
    public static bool IsFileName(string caption) => FileName().IsMatch(caption.Trim());

    private static HashSet<string> Words(string words) => [.. words.Split(' ')];

    private static string? Script(char c) => c switch
    {
        >= 'a' and <= 'z' or >= 'A' and <= 'Z' or >= '\u00C0' and <= '\u024F' => "Latin",
        >= '\u0370' and <= '\u03FF' => "Greek",
        >= '\u0400' and <= '\u052F' => "Cyrillic",
        >= '\u0590' and <= '\u05FF' => "Hebrew",
        >= '\u0600' and <= '\u06FF' => "Arabic",
        >= '\u0900' and <= '\u097F' => "Devanagari",
        >= '\u0E00' and <= '\u0E7F' => "Thai",
        >= '\u3040' and <= '\u30FF' => "Kana",
        >= '\u3400' and <= '\u9FFF' or >= '\uF900' and <= '\uFAFF' => "Han",
        >= '\uAC00' and <= '\uD7AF' => "Hangul",
        _ => null,
    };

    // photo.jpg, path/to/photo.png, IMG_1234, DSC-0001, 1000268201_693b08cb0e, 20240131_101500
    [GeneratedRegex(@"^(?:\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic)|(?:IMG|DSC[FN]?|DCIM|PXL|P)[-_ ]?\d{3,}\S*|[0-9a-f]*\d[0-9a-f]*[_-][0-9a-f_-]+|\d{4,})$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex FileName();
}
