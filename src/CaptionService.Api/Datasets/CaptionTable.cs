using System.Text;
using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>Tables with a header that names the columns: CSV, TSV, and those with semicolons or bars.</summary>
internal static partial class CaptionTable
{
    private const int MaxLinesOfField = 50;

    /// <summary>Whether a file's first line is such a header.</summary>
    public static bool HasHeader(string line) => Columns(line) is not null;

    /// <summary>Reads one.</summary>
    public static List<RawCaption> Read(RawFile file, BrokenLines broken)
    {
        var captions = new List<RawCaption>();
        using var lines = new CaptionLines(file);
        string header = CaptionFile.Next(lines, file)!;
        var (separator, photo, texts, split, count) = Columns(header)!.Value;
        int columns = Math.Max(Math.Max(photo, texts[0]), split) + 1;
        while (CaptionFile.Next(lines, file) is { } line)
        {
            long number = lines.Number;
            List<string>? fields = Fields(line, separator) ?? OverSeveralLines(line, lines, file, separator);
            if (fields is null)
            {
                broken.Add(number, "a quote is not closed");
                continue;
            }
            if (fields.Count < columns)
            {
                broken.Add(number, $"the line has {ShortText.Count(fields.Count, "column")}, the header needs {columns}");
                continue;
            }
            string? part = split < 0 ? null : CaptionFile.SplitOf(fields[split]);
            int before = captions.Count;
            foreach (int text in texts.Where(text => text < fields.Count))
            {
                // Captions with unquoted commas, where the caption is the last column, are what people write by hand.
                string caption = separator == ',' && text == count - 1 && fields.Count > count ? string.Join(separator, fields.Skip(text)) : fields[text];
                // Of several columns those without a caption say only that the photo has fewer.
                if (texts.Length == 1 || !string.IsNullOrWhiteSpace(caption))
                    captions.Add(new RawCaption(fields[photo].Trim(), caption, part));
            }
            if (captions.Count == before)
                captions.Add(new RawCaption(fields[photo].Trim(), "", part));
        }
        return captions;
    }

    /// <summary>A quoted field may go over several lines. Where its end does not come, only the first of them is lost.</summary>
    private static List<string>? OverSeveralLines(string line, CaptionLines lines, RawFile file, char separator)
    {
        List<(string Text, long Number)> taken = [];
        while (taken.Count < MaxLinesOfField && line.Length <= CaptionFile.MaxLine && CaptionFile.Next(lines, file, skipBlank: false) is { } more)
        {
            taken.Add((more, lines.Number));
            line += "\n" + more;
            if (Fields(line, separator) is { } fields)
                return fields;
        }
        lines.Return(taken);
        return null;
    }

    private static (char Separator, int Photo, int[] Captions, int Split, int Count)? Columns(string header)
    {
        foreach (char separator in (ReadOnlySpan<char>)['\t', ',', ';', '|'])
        {
            List<string> names = [.. (Fields(header, separator) ?? []).Select(name => name.Trim().ToLowerInvariant())];
            // By meaning, not by place: a file's name before an id.
            int photo = First(CaptionFile.PhotoNames), caption = First(CaptionFile.CaptionNames);
            int[] texts = caption >= 0 ? [caption] : [.. Enumerable.Range(0, names.Count).Where(i => NumberedCaption().IsMatch(names[i]))];
            if (photo >= 0 && texts.Length > 0)
                return (separator, photo, texts, names.IndexOf("split"), names.Count);

            int First(string[] wanted) => wanted.Select(name => names.IndexOf(name)).FirstOrDefault(i => i >= 0, -1);
        }
        return null;
    }

    [GeneratedRegex(@"^(?:captions?|text|sentence|comment)[_ ]?\d+$")]
    private static partial Regex NumberedCaption();

    // RFC 4180; null when a quote is still open at the end.
    private static List<string>? Fields(string line, char separator)
    {
        var fields = new List<string>();
        var field = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < line.Length; i++)
        {
            char c = line[i];
            if (quoted)
            {
                if (c != '"')
                {
                    field.Append(c);
                }
                else if (i + 1 < line.Length && line[i + 1] == '"')
                {
                    field.Append('"');
                    i++;
                }
                else
                    quoted = false;
            }
            else if (c == '"' && string.IsNullOrWhiteSpace(field.ToString()))
            {
                field.Clear();
                quoted = true;
            }
            else if (c == separator)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else
                field.Append(c);
        }
        if (quoted)
            return null;
        fields.Add(field.ToString());
        return fields;
    }
}
