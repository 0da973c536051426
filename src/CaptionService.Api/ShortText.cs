using System.Text;
using CaptionService.Captioning.Language;

namespace CaptionService.Api;

/// <summary>What callers sent, as messages quote it.</summary>
internal static class ShortText
{
    /// <summary>The beginning of a text that is too long to quote.</summary>
    public static string Shortened(this string text, int most = 40) => text.Length <= most ? text : text[..most] + "…";

    /// <summary>A text without what could disturb a terminal, a log or a line of a file; half a surrogate pair becomes U+FFFD.</summary>
    public static string Printable(this string text) => string.Concat(
        Tokenizer.Compose(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text))).Select(c => char.IsControl(c) || c is '\u2028' or '\u2029' ? '_' : c));

    /// <summary>A number and what it counts: "1 caption", "2,000 captions".</summary>
    public static string Count(long count, string what) => $"{count:N0} {what}{(count == 1 ? "" : "s")}";

    /// <summary>Says that there is no such name, which was meant perhaps, and which there are.</summary>
    /// <param name="what">What is named: "option".</param>
    /// <param name="name">What the caller wrote.</param>
    /// <param name="known">The names there are.</param>
    public static string NoSuch(string what, string name, IReadOnlyCollection<string> known)
    {
        string? nearest = known.OrderBy(other => Edits(name, other)).FirstOrDefault(other => Edits(name, other) <= Math.Max(2, name.Length / 3) || SamePrefix(name, other) >= 4);
        return $"There is no {what} '{name.Quoted().Shortened()}'{(nearest is null ? "" : $" (do you mean {nearest}?)")}; the {what}s are {string.Join(", ", known)}.";
    }

    private static int SamePrefix(string a, string b) => a.Zip(b).TakeWhile(pair => char.ToLowerInvariant(pair.First) == char.ToLowerInvariant(pair.Second)).Count();

    // Levenshtein's distance, casing aside; of a long name only its beginning counts.
    private static int Edits(string a, string b)
    {
        (a, b) = (a.Shortened(60).ToLowerInvariant(), b.ToLowerInvariant());
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            (int diagonal, row[0]) = (row[0], i);
            for (int j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }

    /// <summary>A name from outside: printable, and short.</summary>
    public static string Quoted(this string name) => name.Printable().Shortened(120);
}
