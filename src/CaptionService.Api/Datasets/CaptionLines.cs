using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>Lines of a text in UTF-8 or UTF-16, none longer than a limit: a file without line breaks is not read into memory.</summary>
internal sealed class CaptionLines(string path, int longest = CaptionFile.MaxLine) : IDisposable
{
    private readonly StreamReader _reader = new(path, Encoding.UTF8, detectEncodingFromByteOrderMarks: true, bufferSize: 64 * 1024);

    /// <summary>Of the line that came last, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>The next line, or null at the end.</summary>
    /// <exception cref="FormatException">A line is too long.</exception>
    public string? Next(bool skipBlank)
    {
        var line = new StringBuilder();
        while (true)
        {
            int c = _reader.Read();
            if (c < 0 && line.Length == 0)
            {
                return null;
            }
            if (c is >= 0 and not '\n')
            {
                line.Append((char)c);
                if (line.Length > longest)
                {
                    throw new FormatException();
                }
                continue;
            }
            Number++;
            string text = line.ToString().TrimEnd('\r').TrimStart('\uFEFF');
            if (!skipBlank || !string.IsNullOrWhiteSpace(text))
            {
                return text;
            }
            line.Clear();
        }
    }

    /// <inheritdoc />
    public void Dispose() => _reader.Dispose();
}
