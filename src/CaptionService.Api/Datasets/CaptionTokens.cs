using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Token files as Flickr8k and Flickr30k have them: <c>photo#k&lt;TAB&gt;caption</c> on each line. Flickr8k-CN names the language
/// too, and separates by a blank: <c>photo#zhb#k caption</c>.
/// </summary>
internal static partial class CaptionTokens
{
    /// <summary>Whether a file's first line is one.</summary>
    public static bool Is(string line) => Tabbed().IsMatch(line) || Spaced().IsMatch(line);

    /// <summary>Reads one.</summary>
    public static List<RawCaption> Read(RawFile file, BrokenLines broken)
    {
        var captions = new List<RawCaption>();
        using var lines = new CaptionLines(file);
        while (CaptionFile.Next(lines, file) is { } line)
        {
            Match match = Tabbed().Match(line);
            if (!match.Success)
                match = Spaced().Match(line);
            if (match.Success)
                captions.Add(new RawCaption(match.Groups[1].Value, match.Groups[2].Value, null));
            else
                broken.Add(lines.Number, "the line is not 'photo#k<TAB>caption'");
        }
        return captions;
    }

    [GeneratedRegex(@"^([^\t]+?)(?:#[A-Za-z]{2,5})?#\d+\t(.*)$")]
    private static partial Regex Tabbed();

    [GeneratedRegex(@"^([^\t]+?\.[A-Za-z0-9]{2,4})(?:#[A-Za-z]{2,5})?#\d+ +(.*)$")]
    private static partial Regex Spaced();
}
