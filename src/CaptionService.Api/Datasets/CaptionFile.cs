using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>One caption as it was sent.</summary>
/// <param name="Photo">What its photo is called there.</param>
/// <param name="Text">The caption.</param>
/// <param name="Split">train, dev or test; null where nothing says.</param>
/// <param name="Folder">Folder of the file that holds it, where its photos are looked for first.</param>
internal sealed record RawCaption(string Photo, string Text, string? Split, string Folder = "");

/// <summary>A file of captions: which format it has, and what is in it.</summary>
/// <param name="Format">As in <see cref="Captioning.Jobs.DatasetImport"/>.</param>
/// <param name="Captions">In the order of the file.</param>
internal sealed partial record CaptionFile(string Format, IReadOnlyList<RawCaption> Captions)
{
    /// <summary>Longest line, in characters.</summary>
    public const int MaxLine = 1_000_000;

    /// <summary>What people call the column, or member, that names the photo: a file's name before an id.</summary>
    public static readonly string[] PhotoNames =
        ["file_name", "filename", "image", "file", "photo", "image_name", "image_path", "img", "path", "filepath", "file_path", "image_id"];

    /// <summary>And the one with the caption.</summary>
    public static readonly string[] CaptionNames = ["caption", "captions", "text", "sentence", "comment", "description"];

    /// <summary>The format of a text file, or null when it holds no captions.</summary>
    public static string? Recognise(RawFile file)
    {
        using var lines = new CaptionLines(file);
        string? first = lines.Next(skipBlank: true);
        if (first is null)
            return null;
        switch (first.TrimStart()[0])
        {
            case '[':
                return "json-list";
            case '{':
                return JsonCaptions.IsCaption(first) ? "json-lines" : JsonCaptions.IsDocument(file) ? "json" : null;
        }
        return CaptionTokens.Is(first) ? "flickr" : CaptionTable.HasHeader(first) ? "table" : null;
    }

    /// <summary>Reads a file of captions.</summary>
    /// <exception cref="ProblemException">It is malformed; the detail says where.</exception>
    public static async Task<CaptionFile> Read(RawFile file, string format, BrokenLines broken, CancellationToken cancellation)
    {
        try
        {
            return format switch
            {
                "flickr" => new CaptionFile(format, CaptionTokens.Read(file, broken)),
                "table" => new CaptionFile(format, CaptionTable.Read(file, broken)),
                "json-lines" => new CaptionFile(format, JsonCaptions.ReadLines(file, broken)),
                "json-list" => new CaptionFile(format, await JsonCaptions.ReadList(file, broken, cancellation)),
                _ => await JsonCaptions.ReadDocument(file, broken, cancellation),
            };
        }
        catch (JsonException malformed)
        {
            throw Malformed(file, malformed.LineNumber is { } line ? line + 1 : 1, "the JSON is malformed");
        }
        catch (DecoderFallbackException)
        {
            throw Malformed(file, 1, $"it has bytes that are no characters of its encoding, {file.Encoding.WebName}; save it as UTF-8");
        }
    }

    /// <summary>A split's usual names: train and restval; val, valid, validation and dev; test and eval.</summary>
    public static string? SplitOf(string? name) => name?.Trim().ToLowerInvariant() switch
    {
        "train" or "training" or "restval" => "train",
        "val" or "valid" or "validation" or "dev" or "development" => "dev",
        "test" or "testing" or "eval" => "test",
        _ => null,
    };

    /// <summary>The split that a file's name speaks of, or else its folders: captions_val2014.json, Flickr_8k.trainImages.txt, train/metadata.jsonl.</summary>
    public static string? SplitInName(string name)
    {
        string[] parts = name.Split('/');
        return SplitWord().Matches(parts[^1]).Select(match => SplitOf(match.Value)).FirstOrDefault(split => split is not null)
            ?? parts[..^1].Reverse().Select(SplitOf).FirstOrDefault(split => split is not null);
    }

    /// <summary>Numbers as pandas writes them: 1.0 is 1.</summary>
    public static string WholeNumber(string id) => Fraction().Replace(id, "$1");

    /// <summary>The lines of a small text file, or null when it is too long for a list of names.</summary>
    public static List<string>? ReadNames(RawFile file, int most)
    {
        using var lines = new CaptionLines(file, 1_000);
        var names = new List<string>();
        try
        {
            while (lines.Next(skipBlank: true) is { } line)
            {
                if (names.Count == most)
                    return null;
                names.Add(line.Trim());
            }
        }
        catch (FormatException)
        {
            return null;
        }
        return names;
    }

    /// <summary>The next line.</summary>
    /// <exception cref="ProblemException">It is too long.</exception>
    public static string? Next(CaptionLines lines, RawFile file, bool skipBlank = true)
    {
        try
        {
            return lines.Next(skipBlank);
        }
        catch (FormatException)
        {
            throw Malformed(file, lines.Number + 1, $"the line has more than {MaxLine:N0} characters");
        }
    }

    /// <summary>What is wrong where.</summary>
    public static ProblemException Malformed(RawFile file, long line, string what) =>
        new(ProblemTable.BrokenCaptions, $"'{file.Name.Shortened(120)}', line {line}: {what}.");

    [GeneratedRegex(@"^(\d+)\.0+$")]
    private static partial Regex Fraction();

    [GeneratedRegex("train(?:ing)?|restval|validation|valid|val|dev|test|eval", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex SplitWord();
}
