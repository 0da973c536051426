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

    /// <summary>A name from outside: printable, and short.</summary>
    public static string Quoted(this string name) => name.Printable().Shortened(120);
}
