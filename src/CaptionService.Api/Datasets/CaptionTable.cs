using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>Tables with a header that names the columns: CSV, TSV, and those with semicolons or bars.</summary>
internal static class CaptionTable
{
    /// <summary>Whether a file's first line is such a header.</summary>
    public static bool HasHeader(string line) => Columns(line) is not null;

    /// <summary>Reads one.</summary>
    public static List<RawCaption> Read(RawFile file)
    {
        var captions = new List<RawCaption>();
        using var lines = new CaptionLines(file.Path);
        string header = CaptionFile.Next(lines, file)!;
        var (separator, photo, caption, split, count) = Columns(header)!.Value;
        int columns = Math.Max(Math.Max(photo, caption), split) + 1;
        while (CaptionFile.Next(lines, file) is { } line)
        {
            long number = lines.Number;
            // A quoted field may go over several lines.
            List<string>? fields;
            while ((fields = Fields(line, separator)) is null)
            {
                if (line.Length > CaptionFile.MaxLine || lines.Next(skipBlank: false) is not { } more)
                {
                    throw CaptionFile.Malformed(file, number, "a quote is not closed");
                }
                line += "\n" + more;
            }
            if (fields.Count < columns)
            {
                throw CaptionFile.Malformed(file, number, $"the line has {fields.Count} columns, the header needs {columns}");
            }
            // Captions with unquoted commas, where the caption is the last column, are what people write by hand.
            string text = separator == ',' && caption == count - 1 && fields.Count > count
                ? string.Join(separator, fields.Skip(caption)) : fields[caption];
            captions.Add(new RawCaption(fields[photo].Trim(), CaptionFile.Clean(text), split < 0 ? null : CaptionFile.SplitOf(fields[split])));
        }
        return captions;
    }

    private static (char Separator, int Photo, int Caption, int Split, int Count)? Columns(string header)
    {
        foreach (char separator in (ReadOnlySpan<char>)['\t', ',', ';', '|'])
        {
            List<string> names = [.. (Fields(header, separator) ?? []).Select(name => name.Trim().ToLowerInvariant())];
            int photo = names.FindIndex(CaptionFile.PhotoNames.Contains), caption = names.FindIndex(CaptionFile.CaptionNames.Contains);
            if (photo >= 0 && caption >= 0)
            {
                return (separator, photo, caption, names.IndexOf("split"), names.Count);
            }
        }
        return null;
    }

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
                {
                    quoted = false;
                }
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
            {
                field.Append(c);
            }
        }
        if (quoted)
        {
            return null;
        }
        fields.Add(field.ToString());
        return fields;
    }
}
