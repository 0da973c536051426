using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>One caption as it was sent.</summary>
/// <param name="Photo">What its photo is called there.</param>
/// <param name="Text">The caption.</param>
/// <param name="Split">train, dev or test; null where nothing says.</param>
internal sealed record RawCaption(string Photo, string Text, string? Split);

/// <summary>A file of captions: which format it has, and what is in it.</summary>
/// <param name="Format">As in <see cref="Captioning.Training.DatasetImport"/>.</param>
/// <param name="Captions">In the order of the file.</param>
internal sealed partial record CaptionFile(string Format, IReadOnlyList<RawCaption> Captions)
{
    private const int MaxLine = 1_000_000;      // characters
    private const int MaxCaption = 2_000;       // characters; the rest of a longer one is cut

    private static readonly string[] s_photoColumns = ["image", "file", "filename", "file_name", "photo", "image_name", "image_path", "image_id", "img", "path", "filepath"];
    private static readonly string[] s_captionColumns = ["caption", "captions", "text", "sentence", "comment", "description"];

    /// <summary>The format of a text file, or null when it holds no captions.</summary>
    public static string? Recognise(string path)
    {
        using var lines = new Lines(path);
        string? first = lines.Next(skipBlank: true);
        if (first is null)
        {
            return null;
        }
        switch (first.TrimStart()[0])
        {
            case '[':
                return "json-list";
            case '{':
                return IsObjectWithCaption(first) ? "json-lines" : HasCaptionsInJson(path);
        }
        if (TokenLine().IsMatch(first))
        {
            return "flickr";
        }
        return Columns(first) is not null ? "table" : null;
    }

    /// <summary>Reads a file of captions.</summary>
    /// <exception cref="ProblemException">It is malformed; the detail says where.</exception>
    public static async Task<CaptionFile> Read(RawFile file, string format, CancellationToken cancellation)
    {
        try
        {
            return format switch
            {
                "flickr" => new CaptionFile(format, ReadTokens(file)),
                "table" => new CaptionFile(format, ReadTable(file)),
                "json-lines" => new CaptionFile(format, ReadJsonLines(file)),
                "json-list" => new CaptionFile(format, await ReadJsonList(file, cancellation)),
                _ => await ReadDocument(file, cancellation),
            };
        }
        catch (JsonException malformed)
        {
            throw Malformed(file, malformed.LineNumber is { } line ? line + 1 : 1, "the JSON is malformed");
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

    /// <summary>The split that a file's name speaks of: captions_val2014.json, Flickr_8k.trainImages.txt.</summary>
    public static string? SplitInName(string name) =>
        SplitWord().Matches(name[(name.LastIndexOf('/') + 1)..]).Select(match => SplitOf(match.Value)).FirstOrDefault(split => split is not null);

    /// <summary>The lines of a small text file, or null when it is too long for a list of names.</summary>
    public static List<string>? ReadNames(string path, int most)
    {
        using var lines = new Lines(path, 1_000);
        var names = new List<string>();
        try
        {
            while (lines.Next(skipBlank: true) is { } line)
            {
                if (names.Count == most)
                {
                    return null;
                }
                names.Add(line.Trim());
            }
        }
        catch (FormatException)
        {
            return null;
        }
        return names;
    }

    private static List<RawCaption> ReadTokens(RawFile file)
    {
        var captions = new List<RawCaption>();
        using var lines = new Lines(file.Path);
        while (Next(lines, file) is { } line)
        {
            int tab = line.IndexOf('\t', StringComparison.Ordinal), hash = tab < 0 ? -1 : line.LastIndexOf('#', tab);
            if (hash < 1)
            {
                throw Malformed(file, lines.Number, "the line is not 'photo#k<TAB>caption'");
            }
            captions.Add(new RawCaption(line[..hash], Clean(line[(tab + 1)..]), null));
        }
        return captions;
    }

    private static List<RawCaption> ReadTable(RawFile file)
    {
        var captions = new List<RawCaption>();
        using var lines = new Lines(file.Path);
        string header = Next(lines, file)!;
        var (separator, photo, caption, split, count) = Columns(header)!.Value;
        int columns = Math.Max(Math.Max(photo, caption), split) + 1;
        while (Next(lines, file) is { } line)
        {
            long number = lines.Number;
            // A quoted field may go over several lines.
            List<string>? fields;
            while ((fields = Fields(line, separator)) is null)
            {
                if (line.Length > MaxLine || lines.Next(skipBlank: false) is not { } more)
                {
                    throw Malformed(file, number, "a quote is not closed");
                }
                line += "\n" + more;
            }
            if (fields.Count < columns)
            {
                throw Malformed(file, number, $"the line has {fields.Count} columns, the header needs {columns}");
            }
            // Captions with unquoted commas, where the caption is the last column, are what people write by hand.
            string text = separator == ',' && caption == count - 1 && fields.Count > count
                ? string.Join(separator, fields.Skip(caption)) : fields[caption];
            captions.Add(new RawCaption(fields[photo].Trim(), Clean(text), split < 0 ? null : SplitOf(fields[split])));
        }
        return captions;
    }

    private static List<RawCaption> ReadJsonLines(RawFile file)
    {
        var captions = new List<RawCaption>();
        using var lines = new Lines(file.Path);
        while (Next(lines, file) is { } line)
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                if (!Add(json.RootElement, captions))
                {
                    throw Malformed(file, lines.Number, "the object has no photo and caption");
                }
            }
            catch (JsonException)
            {
                throw Malformed(file, lines.Number, "the line is no JSON object");
            }
        }
        return captions;
    }

    private static async Task<List<RawCaption>> ReadJsonList(RawFile file, CancellationToken cancellation)
    {
        var captions = new List<RawCaption>();
        await using FileStream stream = File.OpenRead(file.Path);
        int item = 0;
        await foreach (JsonElement element in JsonSerializer.DeserializeAsyncEnumerable<JsonElement>(stream, cancellationToken: cancellation))
        {
            item++;
            if (!Add(element, captions))
            {
                throw Malformed(file, 1, $"item {item} has no photo and caption");
            }
        }
        return captions;
    }

    private static async Task<CaptionFile> ReadDocument(RawFile file, CancellationToken cancellation)
    {
        await using FileStream stream = File.OpenRead(file.Path);
        JsonCaptions document = await JsonSerializer.DeserializeAsync<JsonCaptions>(stream, JsonCaptions.Format, cancellation) ?? new JsonCaptions();
        var captions = new List<RawCaption>();
        if (document.Annotations is { } annotations)
        {
            var names = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (JsonImage image in document.Images ?? [])
            {
                if (image is { Id: { } id, FileName: { } name })
                {
                    names[id] = name;
                }
            }
            captions.AddRange(annotations.Where(a => a is { ImageId: not null, Caption: not null })
                .Select(a => new RawCaption(names.GetValueOrDefault(a.ImageId!, a.ImageId!), Clean(a.Caption!), null)));
            return new CaptionFile("coco", captions);
        }
        foreach (JsonImage image in document.Images ?? [])
        {
            string? name = image.Karpathy ?? image.FileName;
            if (name is null)
            {
                throw Malformed(file, 1, "an image has no filename");
            }
            string path = image.FilePath is { Length: > 0 } folder && !folder.EndsWith(name, StringComparison.Ordinal) ? $"{folder}/{name}" : name;
            foreach (JsonSentence sentence in image.Sentences ?? [])
            {
                string text = sentence.Raw ?? string.Join(' ', sentence.Tokens ?? []);
                captions.Add(new RawCaption(path, Clean(text), SplitOf(image.Split)));
            }
        }
        return new CaptionFile("karpathy", captions);
    }

    private static bool Add(JsonElement element, List<RawCaption> captions)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            return false;
        }
        string? photo = Find(element, s_photoColumns) is { } p ? Text(p) : null, split = element.TryGetProperty("split", out JsonElement s) ? SplitOf(Text(s)) : null;
        if (photo is null || Find(element, s_captionColumns) is not { } text)
        {
            return false;
        }
        foreach (JsonElement caption in text.ValueKind == JsonValueKind.Array ? text.EnumerateArray().ToArray() : [text])
        {
            if (Text(caption) is not { } sentence)
            {
                return false;
            }
            captions.Add(new RawCaption(photo, Clean(sentence), split));
        }
        return true;
    }

    private static JsonElement? Find(JsonElement element, string[] names)
    {
        foreach (string name in names)
        {
            if (element.TryGetProperty(name, out JsonElement value))
            {
                return value;
            }
        }
        return null;
    }

    private static string? Text(JsonElement value)
    {
        try
        {
            return value.ValueKind switch
            {
                JsonValueKind.String => value.GetString(),
                JsonValueKind.Number => value.GetRawText(),
                _ => null,
            };
        }
        catch (InvalidOperationException)       // an escape of half a surrogate pair
        {
            return null;
        }
    }

    private static bool IsObjectWithCaption(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return Find(json.RootElement, s_photoColumns) is not null && Find(json.RootElement, s_captionColumns) is not null;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    // COCO and Karpathy: an object with "images". The key may stand behind a long "info" or the annotations.
    private static string? HasCaptionsInJson(string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] head = new byte[64 * 1024];
        int length = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        ReadOnlySpan<byte> text = head.AsSpan(0, length);
        return text.IndexOf("\"images\""u8) >= 0 || text.IndexOf("\"annotations\""u8) >= 0 ? "json" : null;
    }

    private static (char Separator, int Photo, int Caption, int Split, int Count)? Columns(string header)
    {
        foreach (char separator in (ReadOnlySpan<char>)['\t', ',', ';', '|'])
        {
            List<string> names = [.. (Fields(header, separator) ?? []).Select(name => name.Trim().ToLowerInvariant())];
            int photo = names.FindIndex(s_photoColumns.Contains), caption = names.FindIndex(s_captionColumns.Contains);
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

    private static string Clean(string text)
    {
        string line = Blanks().Replace(text.Length > MaxCaption ? text[..MaxCaption] : text, " ").Trim();
        return RawFiles.Printable(line);
    }

    private static string? Next(Lines lines, RawFile file)
    {
        try
        {
            return lines.Next(skipBlank: true);
        }
        catch (FormatException)
        {
            throw Malformed(file, lines.Number + 1, $"the line has more than {MaxLine:N0} characters");
        }
    }

    private static ProblemException Malformed(RawFile file, long line, string what) =>
        new(ProblemTable.BrokenCaptions, $"'{RawFiles.Short(file.Name)}', line {line}: {what}.");

    [GeneratedRegex(@"^[^\t]+#\d+\t")]
    private static partial Regex TokenLine();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();

    [GeneratedRegex("train(?:ing)?|restval|validation|valid|val|dev|test|eval", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex SplitWord();

    /// <summary>Lines of a text in UTF-8 or UTF-16, none longer than a limit: a file without line breaks is not read into memory.</summary>
    private sealed class Lines(string path, int longest = MaxLine) : IDisposable
    {
        private readonly StreamReader _reader = new(path, Encoding.UTF8, detectEncodingFromByteOrderMarks: true, bufferSize: 64 * 1024);

        public long Number { get; private set; }

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

        public void Dispose() => _reader.Dispose();
    }

    /// <summary>COCO's and Karpathy's documents in one: what neither needs is not kept.</summary>
    private sealed record JsonCaptions
    {
        public static readonly JsonSerializerOptions Format = new() { MaxDepth = 32 };

        [JsonPropertyName("images")]
        public List<JsonImage>? Images { get; init; }

        [JsonPropertyName("annotations")]
        public List<JsonAnnotation>? Annotations { get; init; }
    }

    private sealed record JsonImage
    {
        [JsonPropertyName("id"), JsonConverter(typeof(TextOrNumber))]
        public string? Id { get; init; }

        [JsonPropertyName("file_name")]
        public string? FileName { get; init; }

        [JsonPropertyName("filename")]
        public string? Karpathy { get; init; }

        [JsonPropertyName("filepath")]
        public string? FilePath { get; init; }

        [JsonPropertyName("split")]
        public string? Split { get; init; }

        [JsonPropertyName("sentences")]
        public List<JsonSentence>? Sentences { get; init; }
    }

    private sealed record JsonSentence
    {
        [JsonPropertyName("raw")]
        public string? Raw { get; init; }

        [JsonPropertyName("tokens")]
        public List<string>? Tokens { get; init; }
    }

    private sealed record JsonAnnotation
    {
        [JsonPropertyName("image_id"), JsonConverter(typeof(TextOrNumber))]
        public string? ImageId { get; init; }

        [JsonPropertyName("caption")]
        public string? Caption { get; init; }
    }

    private sealed class TextOrNumber : JsonConverter<string>
    {
        public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
        {
            JsonTokenType.String => reader.GetString(),
            JsonTokenType.Number => Encoding.UTF8.GetString(reader.HasValueSequence ? System.Buffers.BuffersExtensions.ToArray(reader.ValueSequence) : reader.ValueSpan),
            _ => throw new JsonException(),
        };

        public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);
    }
}
