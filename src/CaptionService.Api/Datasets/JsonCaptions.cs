using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Api.Datasets;

/// <summary>Captions in JSON: lines, a list, COCO's captions, Karpathy's dataset.json.</summary>
internal static class JsonCaptions
{
    /// <summary>Reads JSON lines: an object with a photo and a caption on each.</summary>
    public static List<RawCaption> ReadLines(RawFile file, BrokenLines broken)
    {
        var captions = new List<RawCaption>();
        using var lines = new CaptionLines(file);
        while (CaptionFile.Next(lines, file) is { } line)
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                if (!Add(json.RootElement, captions))
                    broken.Add(lines.Number, "the object has no photo and caption");
            }
            catch (JsonException)
            {
                broken.Add(lines.Number, "the line is no JSON object");
            }
        }
        return captions;
    }

    /// <summary>Reads one list of such objects.</summary>
    public static async Task<List<RawCaption>> ReadList(RawFile file, BrokenLines broken, CancellationToken cancellation)
    {
        var captions = new List<RawCaption>();
        await using Stream stream = file.OpenUtf8();
        int item = 0;
        await foreach (JsonElement element in JsonSerializer.DeserializeAsyncEnumerable<JsonElement>(stream, cancellationToken: cancellation))
        {
            item++;
            if (!Add(element, captions))
                broken.AddItem(item, "it has no photo and caption");
        }
        return captions;
    }

    /// <summary>Reads COCO's and Karpathy's documents.</summary>
    public static async Task<CaptionFile> ReadDocument(RawFile file, BrokenLines broken, CancellationToken cancellation)
    {
        await using Stream stream = file.OpenUtf8();
        Document document = await JsonSerializer.DeserializeAsync<Document>(stream, Document.Format, cancellation) ?? new Document();
        var captions = new List<RawCaption>();
        if (document.Annotations is { } annotations)
        {
            var names = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (JsonImage image in document.Images ?? [])
            {
                if (image is { Id: { } id, FileName: { } name })
                    names[CaptionFile.WholeNumber(id)] = name;
            }
            // What has no member "caption" is a box or a key point; null is a caption that is missing.
            foreach (JsonAnnotation annotation in annotations.Where(a => a is { ImageId: not null, Caption.ValueKind: JsonValueKind.String or JsonValueKind.Null }))
            {
                string id = CaptionFile.WholeNumber(annotation.ImageId!);
                captions.Add(new RawCaption(names.GetValueOrDefault(id, id), annotation.Caption.GetString() ?? "", null));
            }
            return new CaptionFile("coco", captions);
        }
        int item = 0;
        foreach (JsonImage image in document.Images ?? [])
        {
            item++;
            string? name = image.Karpathy ?? image.FileName;
            if (name is null)
            {
                broken.AddItem(item, "the image has no filename");
                continue;
            }
            string path = image.FilePath is { Length: > 0 } folder && !folder.EndsWith(name, StringComparison.Ordinal) ? $"{folder}/{name}" : name;
            foreach (JsonSentence sentence in image.Sentences ?? [])
            {
                string text = sentence.Raw ?? string.Join(' ', sentence.Tokens ?? []);
                captions.Add(new RawCaption(path, text, CaptionFile.SplitOf(image.Split)));
            }
        }
        return new CaptionFile("karpathy", captions);
    }

    private static bool Add(JsonElement element, List<RawCaption> captions)
    {
        if (element.ValueKind != JsonValueKind.Object)
            return false;
        string? photo = Find(element, CaptionFile.PhotoNames) is { } p ? Text(p) : null, split = element.TryGetProperty("split", out JsonElement s) ? CaptionFile.SplitOf(Text(s)) : null;
        if (photo is null || Find(element, CaptionFile.CaptionNames) is not { } text)
            return false;
        JsonElement[] texts = text.ValueKind == JsonValueKind.Array ? [.. text.EnumerateArray()] : [text];
        var sentences = new List<string>();
        foreach (JsonElement caption in texts)
        {
            // null is a caption that is missing, as an empty field of a table is.
            if ((caption.ValueKind == JsonValueKind.Null ? "" : Text(caption)) is not { } sentence)
                return false;
            sentences.Add(sentence);
        }
        captions.AddRange((sentences.Count == 0 ? [""] : sentences).Select(sentence => new RawCaption(photo, sentence, split)));
        return true;
    }

    private static JsonElement? Find(JsonElement element, string[] names)
    {
        foreach (string name in names)
        {
            if (element.TryGetProperty(name, out JsonElement value))
                return value;
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

    /// <summary>Whether a line is such an object.</summary>
    public static bool IsCaption(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind == JsonValueKind.Object && Find(json.RootElement, CaptionFile.PhotoNames) is not null && Find(json.RootElement, CaptionFile.CaptionNames) is not null;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Whether a file may be COCO's or Karpathy's: an object with "images", perhaps behind a long "info" or the annotations.</summary>
    public static bool IsDocument(RawFile file)
    {
        using Stream stream = file.OpenUtf8();
        byte[] head = new byte[64 * 1024];
        ReadOnlySpan<byte> text = head.AsSpan(0, stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false));
        return text.IndexOf("\"images\""u8) >= 0 || text.IndexOf("\"annotations\""u8) >= 0;
    }

    /// <summary>Whether a document speaks of captions anywhere: COCO's boxes and key points do not, and are large.</summary>
    public static bool HasCaptions(RawFile file)
    {
        using Stream stream = file.OpenUtf8();
        byte[] buffer = new byte[1024 * 1024];
        int kept = 0;       // the end of the piece before, where a word may begin
        for (int read; (read = stream.Read(buffer, kept, buffer.Length - kept)) > 0;)
        {
            ReadOnlySpan<byte> text = buffer.AsSpan(0, kept + read);
            if (text.IndexOf("\"caption\""u8) >= 0 || text.IndexOf("\"captions\""u8) >= 0 || text.IndexOf("\"sentences\""u8) >= 0)
                return true;
            kept = Math.Min(16, text.Length);
            text[^kept..].CopyTo(buffer);
        }
        return false;
    }

    /// <summary>COCO's and Karpathy's documents in one: what neither needs is not kept.</summary>
    private sealed record Document
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
        public JsonElement Caption { get; init; }
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
