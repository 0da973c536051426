using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>Token files as Flickr8k and Flickr30k have them: <c>photo#k&lt;TAB&gt;caption</c> on each line.</summary>
internal static partial class CaptionTokens
{
    /// <summary>Whether a file's first line is one.</summary>
    public static bool Is(string line) => TokenLine().IsMatch(line);

    /// <summary>Reads one.</summary>
    public static List<RawCaption> Read(RawFile file)
    {
        var captions = new List<RawCaption>();
        using var lines = new CaptionLines(file.Path);
        while (CaptionFile.Next(lines, file) is { } line)
        {
            int tab = line.IndexOf('\t', StringComparison.Ordinal), hash = tab < 0 ? -1 : line.LastIndexOf('#', tab);
            if (hash < 1)
            {
                throw CaptionFile.Malformed(file, lines.Number, "the line is not 'photo#k<TAB>caption'");
            }
            captions.Add(new RawCaption(line[..hash], CaptionFile.Clean(line[(tab + 1)..]), null));
        }
        return captions;
    }

    [GeneratedRegex(@"^[^\t]+#\d+\t")]
    private static partial Regex TokenLine();
}
