using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Files;

/// <summary>What an .npy file says about its array.</summary>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a scalar.</param>
/// <param name="DataOffset">First byte of the elements, counted from the start of the file; they reach to its end.</param>
/// <param name="RowBytes">Bytes of one step along the first axis (of a scalar: its own), so that row i begins at DataOffset + i ×
/// RowBytes.</param>
public sealed record NpyHeader(ScalarType Type, long[] Shape, long DataOffset, long RowBytes);

/// <summary>A file is not an .npy array that is read here; the message names the file and what is wrong with it.</summary>
public sealed class NpyException : Exception
{
    internal NpyException(string file, string problem) : base($"{file}: {problem}") { }
}

/// <summary>
/// Reads and writes NumPy's .npy arrays, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html:
/// format 1.0, 2.0 and 3.0, little-endian, C order, of f2, f4, f8, u1, i4 and i8.
/// </summary>
public static partial class Npy
{
    /// <summary>Longest header read, in bytes; NumPy has the same limit.</summary>
    public const int MaxHeaderBytes = 10_000;

    private const int MaxDimensions = 64;   // as in libtorch and NumPy
    private const int Alignment = 64;   // of the first element in the file

    private static readonly (string Descr, ScalarType Type, int Bytes)[] Types =
    [
        ("<f2", ScalarType.Float16, 2), ("<f4", ScalarType.Float32, 4), ("<f8", ScalarType.Float64, 8),
        ("|u1", ScalarType.Byte, 1), ("<i4", ScalarType.Int32, 4), ("<i8", ScalarType.Int64, 8),
    ];

    private static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <summary>Reads and checks the header, so that rows can be read as they are needed: a file may be larger than memory.</summary>
    /// <param name="stream">A whole .npy file: seekable, at its start.</param>
    /// <exception cref="NpyException">The file is not valid, or of a type or order that is not read.</exception>
    public static NpyHeader ReadHeader(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        string file = stream is FileStream named ? named.Name : "stream";
        Span<byte> prefix = stackalloc byte[12];   // magic, version, header length: 2 bytes in format 1, then 4
        if (stream.ReadAtLeast(prefix[..10], 10, throwOnEndOfStream: false) < 10 || !prefix.StartsWith(Magic))
            throw new NpyException(file, "not an .npy file");
        (byte major, byte minor) = (prefix[6], prefix[7]);
        if (major is < 1 or > 3 || minor != 0)
            throw new NpyException(file, $"format {major}.{minor}; 1.0, 2.0 and 3.0 are read");
        if (major > 1 && stream.ReadAtLeast(prefix[10..], 2, throwOnEndOfStream: false) < 2)
            throw new NpyException(file, "ends within its header");
        uint length = major == 1 ? BinaryPrimitives.ReadUInt16LittleEndian(prefix[8..]) : BinaryPrimitives.ReadUInt32LittleEndian(prefix[8..]);
        if (length > MaxHeaderBytes)
            throw new NpyException(file, $"header of {length} bytes, at most {MaxHeaderBytes} are read");
        var text = new byte[length];
        if (stream.ReadAtLeast(text, text.Length, throwOnEndOfStream: false) < text.Length)
            throw new NpyException(file, "ends within its header");

        NpyHeader header = Parse(file, Encoding.Latin1.GetString(text), dataOffset: (major == 1 ? 10 : 12) + length);
        long expected = header.Shape.Length == 0 ? header.RowBytes : header.RowBytes * header.Shape[0];
        if (stream.Length - header.DataOffset != expected)
            throw new NpyException(file, $"holds {stream.Length - header.DataOffset} bytes of elements, its shape and type need {expected}");
        return header;
    }

    /// <summary>Reads a whole array, in the file's element type, into CPU memory.</summary>
    /// <exception cref="NpyException">The file is not valid, or of a type or order that is not read.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public static Tensor Load(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        NpyHeader header = ReadHeader(file);
        Tensor tensor = empty(header.Shape, header.Type, CPU);
        try
        {
            TensorBytes.Read(file, tensor);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Writes an array in format 1.0, replacing any file, and returns once it is on the disk.</summary>
    /// <param name="path">The file; not replaced atomically.</param>
    /// <param name="tensor">A tensor of any device and layout.</param>
    /// <exception cref="ArgumentException">The element type is not one of those above; .npy has none for bfloat16.</exception>
    public static void Save(string path, Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        int type = Array.FindIndex(Types, known => known.Type == tensor.dtype);
        if (type < 0)
            throw new ArgumentException($"{tensor.dtype} is not written to .npy", nameof(tensor));
        string shape = tensor.shape is [long only] ? $"({only},)" : $"({string.Join(", ", tensor.shape)})";
        string text = $"{{'descr': '{Types[type].Descr}', 'fortran_order': False, 'shape': {shape}, }}";
        int total = (10 + text.Length + 1 + Alignment - 1) / Alignment * Alignment;
        byte[] header = [.. Magic, 1, 0, 0, 0, .. Encoding.Latin1.GetBytes(text.PadRight(total - 11)), (byte)'\n'];
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), (ushort)(total - 10));

        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None);
        file.Write(header);
        TensorBytes.Write(file, tensor);
        file.Flush(flushToDisk: true);
    }

    private static NpyHeader Parse(string file, string text, long dataOffset)
    {
        Match match = HeaderPattern().Match(text);
        if (!match.Success || match.Groups["descr"].Captures.Count != 1 || match.Groups["fortran"].Captures.Count != 1 || match.Groups["shape"].Captures.Count != 1)
            throw new NpyException(file, "the header is not a literal of descr, fortran_order and shape, each once");
        string descr = match.Groups["descr"].Value;
        int type = Array.FindIndex(Types, known => known.Descr == descr);
        if (type < 0)
            throw new NpyException(file, descr.StartsWith('>')
                ? $"elements '{descr}' are big-endian; save it as little-endian"
                : $"elements '{descr}'; read are {string.Join(' ', Types.Select(known => known.Descr))}");
        if (match.Groups["fortran"].Value == "True")
            throw new NpyException(file, "in Fortran order; save numpy.ascontiguousarray of it");

        CaptureCollection sizes = match.Groups["size"].Captures;
        if (sizes.Count > MaxDimensions)
            throw new NpyException(file, $"{sizes.Count} dimensions, at most {MaxDimensions} are read");
        try
        {
            long[] shape = [.. sizes.Select(size => long.Parse(size.Value, NumberStyles.None, CultureInfo.InvariantCulture))];
            // Zeros aside, so that the strides of an empty array are in range too.
            _ = shape.Aggregate((long)Types[type].Bytes, (product, size) => checked(product * Math.Max(size, 1)));
            long rowBytes = shape.Skip(1).Aggregate((long)Types[type].Bytes, (product, size) => product * size);
            return new NpyHeader(Types[type].Type, shape, dataOffset, rowBytes);
        }
        catch (OverflowException)
        {
            throw new NpyException(file, "the shape is beyond 64 bits");
        }
    }

    // The subset of Python literals that NumPy writes, keys in any order. (3) is a number in Python, (3,) a tuple.
    // No two repetitions that can match the same text meet, so a hostile header costs no more than its length.
    [GeneratedRegex("""
        \A \{ [ ]*
        (?:
            ' (?: descr'         [ ]*:[ ]* '(?<descr>[^'\\]*)'
                | fortran_order' [ ]*:[ ]* (?<fortran>True|False)
                | shape'         [ ]*:[ ]* (?<shape>\( [ ]* (?: (?<size>[0-9]+) [ ]*,[ ]* (?: (?<size>[0-9]+) [ ]* (?: ,[ ]* (?<size>[0-9]+) [ ]* )* (?: ,[ ]* )? )? )? \))
            ) [ ]* (?: ,[ ]* | (?=\}) )
        )*
        \} [ ]* \n? \z
        """, RegexOptions.IgnorePatternWhitespace | RegexOptions.CultureInvariant)]
    private static partial Regex HeaderPattern();
}
