using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>Lines of a text, none longer than a limit: a file without line breaks is not read into memory.</summary>
internal sealed class CaptionLines(RawFile file, int longest = CaptionFile.MaxLine) : IDisposable
{
    private readonly StreamReader _reader = new(file.Path, file.Encoding, detectEncodingFromByteOrderMarks: true, bufferSize: 64 * 1024);
    private readonly Stack<(string Text, long Number)> _returned = [];
    private long _read;

    /// <summary>Number of the last line, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>The next line, or null at the end.</summary>
    /// <exception cref="FormatException">A line is too long.</exception>
    public string? Next(bool skipBlank)
    {
        while (_returned.TryPop(out var returned))
        {
            Number = returned.Number;
            if (!skipBlank || !string.IsNullOrWhiteSpace(returned.Text))
                return returned.Text;
        }
        var line = new StringBuilder();
        while (true)
        {
            int c = _reader.Read();
            if (c < 0 && line.Length == 0)
                return null;
            if (c is >= 0 and not '\n')
            {
                line.Append((char)c);
                if (line.Length > longest)
                    throw new FormatException();
                continue;
            }
            Number = ++_read;
            string text = line.ToString().TrimEnd('\r').TrimStart('\uFEFF');
            if (!skipBlank || !string.IsNullOrWhiteSpace(text))
                return text;
            line.Clear();
        }
    }

    /// <summary>Lines that come again, the first of them next.</summary>
    public void Return(IReadOnlyList<(string Text, long Number)> lines)
    {
        for (int i = lines.Count - 1; i >= 0; i--)
            _returned.Push(lines[i]);
    }

    /// <inheritdoc />
    public void Dispose() => _reader.Dispose();
}
