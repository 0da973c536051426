using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Files;

/// <summary>Where one tensor lies in a safetensors file.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="Type">Its element type, as stored.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a scalar.</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="Length">Bytes: the elements of <paramref name="Shape"/> times the element's size.</param>
public sealed record SafetensorsEntry(string Name, ScalarType Type, long[] Shape, long Offset, long Length);

/// <summary>What a safetensors file says about itself.</summary>
/// <param name="Entries">The tensors in the order of their data: without hole or overlap, to the file's end.</param>
/// <param name="Metadata">The <c>__metadata__</c> texts; empty when there are none.</param>
public sealed record SafetensorsHeader(IReadOnlyList<SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata);

/// <summary>A file is not valid safetensors; the message names the file and what is wrong with it.</summary>
public sealed class SafetensorsException : Exception
{
    internal SafetensorsException(string file, string problem, Exception? inner = null) : base($"{file}: {problem}", inner) { }
}

/// <summary>
/// Reads and writes safetensors, https://github.com/huggingface/safetensors: a little-endian u64 header length, a JSON
/// header, then the tensors' bytes. As strict as the reference: each key once, no unknown type, no hole and no overlap.
/// </summary>
public static class Safetensors
{
    /// <summary>Longest header read, in bytes; the reference has the same limit.</summary>
    public const long MaxHeaderBytes = 100_000_000;

    private const int PrefixBytes = 8;   // the header's length
    private const int MaxDimensions = 64;   // as in libtorch
    private const string MetadataKey = "__metadata__";

    // In the reference's order of types, which is also the order, last first, in which it lays out tensors.
    private static readonly (string Name, ScalarType Type, int Bytes)[] Types =
    [
        ("BOOL", ScalarType.Bool, 1), ("U8", ScalarType.Byte, 1), ("I8", ScalarType.Int8, 1), ("I16", ScalarType.Int16, 2),
        ("F16", ScalarType.Float16, 2), ("BF16", ScalarType.BFloat16, 2), ("I32", ScalarType.Int32, 4),
        ("F32", ScalarType.Float32, 4), ("F64", ScalarType.Float64, 8), ("I64", ScalarType.Int64, 8),
    ];

    /// <summary>Reads and checks the header; no tensor is read.</summary>
    /// <param name="stream">A whole safetensors file: seekable, at its start.</param>
    /// <exception cref="SafetensorsException">The file is not valid.</exception>
    public static SafetensorsHeader ReadHeader(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        string file = stream is FileStream named ? named.Name : "stream";
        if (stream.Length < PrefixBytes)
            throw new SafetensorsException(file, $"{stream.Length} bytes are too few for a header length");
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        stream.ReadExactly(prefix);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeaderBytes)
            throw new SafetensorsException(file, $"header of {length} bytes, at most {MaxHeaderBytes} are read");
        if (length > (ulong)(stream.Length - PrefixBytes))
            throw new SafetensorsException(file, $"header of {length} bytes in a file of {stream.Length} bytes");

        var json = new byte[length];
        stream.ReadExactly(json);
        if (json is not [(byte)'{', ..])
            throw new SafetensorsException(file, "the header does not begin with '{'");
        try
        {
            return Parse(file, json, dataStart: PrefixBytes + (long)length, fileLength: stream.Length);
        }
        // In this order: not JSON or a key twice; a value of another kind or not Unicode; a key missing;
        // a number that is no 64-bit integer; a product beyond 64 bits.
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or OverflowException)
        {
            throw new SafetensorsException(file, $"invalid header: {e.Message}", e);
        }
    }

    /// <summary>Reads every tensor of a file, in the file's element types, into CPU memory.</summary>
    /// <returns>The tensors by name. They are the caller's to dispose, and belong to its dispose scope if it has one.</returns>
    /// <exception cref="SafetensorsException">The file is not valid.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public static Dictionary<string, Tensor> Load(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        try
        {
            foreach (SafetensorsEntry entry in ReadHeader(file).Entries)
            {
                Tensor tensor = empty(entry.Shape, entry.Type, CPU);
                tensors.Add(entry.Name, tensor);
                file.Position = entry.Offset;
                TensorBytes.Read(file, tensor);
            }
            return tensors;
        }
        catch
        {
            foreach (Tensor tensor in tensors.Values)
                tensor.Dispose();
            throw;
        }
    }

    /// <summary>Writes a file, replacing any, and returns once it is on the disk. Bytes are as the reference would write them.</summary>
    /// <param name="path">The file; not replaced atomically.</param>
    /// <param name="tensors">Tensors by name, of any device and layout.</param>
    /// <param name="metadata">Texts to keep in the header.</param>
    /// <exception cref="ArgumentException">A name is <c>__metadata__</c>, or an element type has no place in the format.</exception>
    public static void Save(string path, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        if (tensors.ContainsKey(MetadataKey))
            throw new ArgumentException($"A tensor cannot be called {MetadataKey}", nameof(tensors));
        // Widest elements first, so that each tensor is aligned to its own; by name among equals, so that bytes are stable.
        var ordered = tensors
            .Select(tensor => (Name: tensor.Key, Tensor: tensor.Value, Type: IndexOf(tensor.Value.dtype)))
            .OrderByDescending(tensor => tensor.Type).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)
            .ToList();

        var header = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(header, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(MetadataKey);
                foreach ((string key, string value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            long offset = 0;
            foreach ((string name, Tensor tensor, int type) in ordered)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", Types[type].Name);
                WriteNumbers(json, "shape", tensor.shape);
                WriteNumbers(json, "data_offsets", [offset, offset += tensor.numel() * Types[type].Bytes]);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        int padding = -header.WrittenCount & 7;   // the data begins at a multiple of 8 bytes
        header.GetSpan(padding)[..padding].Fill((byte)' ');
        header.Advance(padding);

        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None);
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.WrittenCount);
        file.Write(prefix);
        file.Write(header.WrittenSpan);
        foreach ((_, Tensor tensor, _) in ordered)
            TensorBytes.Write(file, tensor);
        file.Flush(flushToDisk: true);
    }

    private static SafetensorsHeader Parse(string file, byte[] json, long dataStart, long fileLength)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 3 });
        var entries = new List<SafetensorsEntry>();
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty property in document.RootElement.EnumerateObject())
        {
            if (property.NameEquals(MetadataKey))
                foreach (JsonProperty text in property.Value.EnumerateObject())
                    metadata.Add(text.Name, text.Value.GetString() ?? throw new FormatException($"metadata '{text.Name}' is null"));
            else
                entries.Add(ParseEntry(property.Name, property.Value, dataStart));
        }

        // An empty tensor begins where its neighbour does: by the end as well, it comes before it.
        entries = [.. entries.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Length)];
        long end = dataStart;
        foreach (SafetensorsEntry entry in entries)
        {
            if (entry.Offset != end)
                throw new SafetensorsException(file, $"tensor '{entry.Name}' begins at byte {entry.Offset}, not at {end} where the data before it ends");
            end = checked(end + entry.Length);
        }
        if (end != fileLength)
            throw new SafetensorsException(file, $"the tensors end at byte {end}, the file at {fileLength}");
        return new SafetensorsHeader(entries, metadata);
    }

    private static SafetensorsEntry ParseEntry(string name, JsonElement entry, long dataStart)
    {
        if (entry.GetPropertyCount() != 3)
            throw new FormatException($"tensor '{name}' must have dtype, shape and data_offsets, and nothing else");
        string? typeName = entry.GetProperty("dtype").GetString();
        int type = Array.FindIndex(Types, known => known.Name == typeName);
        if (type < 0)
            throw new FormatException($"tensor '{name}' has the unknown dtype '{typeName}'");
        long[] shape = ParseNumbers(entry.GetProperty("shape"));
        if (shape.Length > MaxDimensions)
            throw new FormatException($"tensor '{name}' has {shape.Length} dimensions, at most {MaxDimensions} are read");
        if (ParseNumbers(entry.GetProperty("data_offsets")) is not [long begin, long end])
            throw new FormatException($"tensor '{name}' must have two data_offsets");

        // Zeros aside, so that the strides of an empty tensor are in range too.
        long volume = shape.Aggregate((long)Types[type].Bytes, (product, size) => checked(product * Math.Max(size, 1)));
        long length = shape.Contains(0) ? 0 : volume;
        if (checked(end - begin) != length)
            throw new FormatException($"tensor '{name}' has {end - begin} bytes, its shape and dtype {length}");
        return new SafetensorsEntry(name, Types[type].Type, shape, checked(dataStart + begin), length);
    }

    private static long[] ParseNumbers(JsonElement array) => [.. array.EnumerateArray().Select(element =>
        element.GetInt64() is >= 0 and var number ? number : throw new FormatException($"{element.GetInt64()} is negative"))];

    private static void WriteNumbers(Utf8JsonWriter json, string name, ReadOnlySpan<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private static int IndexOf(ScalarType type)
    {
        int index = Array.FindIndex(Types, known => known.Type == type);
        return index >= 0 ? index : throw new ArgumentException($"safetensors has no element type for {type}");
    }
}
