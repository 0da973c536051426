using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Datasets;

/// <summary>
/// What tools leave in captions, taken out and counted: several captions in one cell, HTML entities, marks of a sentence's
/// start and end, line breaks.
/// </summary>
internal sealed partial class CaptionText
{
    private const int MaxCaption = 2_000;       // characters; the rest of a longer one is cut

    private readonly Noted _lists = new(), _entities = new(), _markers = new(), _damaged = new();

    /// <summary>The captions of one cell, each on one line.</summary>
    public IEnumerable<RawCaption> Clean(RawCaption raw)
    {
        string[] parts = Listed(raw.Text) ?? [raw.Text];
        if (parts is not [var only] || only != raw.Text)
            _lists.Add(raw.Text);
        return parts.Select(part => raw with { Text = Line(part) });
    }

    private string Line(string text)
    {
        string line = text.Length > MaxCaption ? text[..MaxCaption] : text;
        if (Entity().IsMatch(line) && WebUtility.HtmlDecode(line) is { } decoded && decoded != line)
        {
            _entities.Add(line);
            line = decoded;
        }
        if (Marker().Replace(line, " ") is { } plain && plain != line)
        {
            _markers.Add(line);
            line = plain;
        }
        if (line.Contains('\uFFFD', StringComparison.Ordinal))
            _damaged.Add(line);
        return ShortText.Printable(Blanks().Replace(line, " ").Trim());
    }

    /// <summary>What was found, for the report.</summary>
    public IEnumerable<DatasetFinding> Findings() => new[]
    {
        _lists.Finding("captions_in_lists", FindingSeverity.Info, "cell", "with a list of captions: each of the list was taken as a caption."),
        _entities.Finding("html_entities", FindingSeverity.Info, "caption", "with HTML entities such as &amp;: they were decoded."),
        _markers.Finding("sequence_markers", FindingSeverity.Info, "caption", "with marks such as <start> and <end>: the marks were left out."),
        _damaged.Finding("damaged_text", FindingSeverity.Warning, "caption", "with the replacement character \uFFFD: letters were lost before the file came here. Export the captions anew, as UTF-8."),
    }.Where(finding => finding.Count > 0);

    /// <summary>How often something was seen, and the first of it.</summary>
    private sealed class Noted
    {
        private readonly List<string> _examples = [];
        private int _count;

        public void Add(string text)
        {
            _count++;
            if (_examples.Count < DatasetFinding.MaxExamples)
                _examples.Add(text.Quoted());
        }

        public DatasetFinding Finding(string code, FindingSeverity severity, string what, string message) =>
            new(code, severity, _count, _examples, $"{ShortText.Count(_count, what)} {message}");
    }

    /// <summary>The members of a list of texts as JSON or Python writes it; null where the text is none.</summary>
    private static string[]? Listed(string text)
    {
        string trimmed = text.Trim();
        if (trimmed is not ['[', .., ']'] || trimmed.AsSpan(1).TrimStart() is not ['"' or '\'', ..])
            return null;
        try
        {
            if (JsonSerializer.Deserialize<string?[]>(trimmed) is { Length: > 0 } items)
                return [.. items.Select(item => item ?? "")];
        }
        catch (JsonException)
        {
            // Python's own way of writing one, then.
        }
        return Python(trimmed.AsSpan(1, trimmed.Length - 2));
    }

    private static string[]? Python(ReadOnlySpan<char> text)
    {
        var items = new List<string>();
        int i = 0;
        while (true)
        {
            while (i < text.Length && char.IsWhiteSpace(text[i]))
                i++;
            if (i == text.Length)
                return items.Count > 0 ? [.. items] : null;
            char quote = text[i++];
            if (quote is not ('\'' or '"'))
                return null;
            var item = new StringBuilder();
            for (; i < text.Length && text[i] != quote; i++)
            {
                if (text[i] == '\\' && i + 1 < text.Length)
                {
                    i++;
                    item.Append(text[i] is 'n' or 't' or 'r' ? ' ' : text[i]);
                }
                else
                    item.Append(text[i]);
            }
            if (i++ >= text.Length)
                return null;
            items.Add(item.ToString());
            while (i < text.Length && (char.IsWhiteSpace(text[i]) || text[i] == ','))
                i++;
        }
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();

    [GeneratedRegex(@"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")]
    private static partial Regex Entity();

    [GeneratedRegex(@"^\s*(?:<(?:start|s|sos|bos|begin)>|\[(?:START|CLS|BOS)\]|startseq\b)|(?:<(?:end|/s|eos)>|\[(?:END|SEP|EOS)\]|\bendseq)\s*\.?\s*$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Marker();
}
