using System.Text;
using CaptionService.Captioning.Files;
using TorchSharp;

namespace CaptionService.Api.Datasets;

/// <summary>Features that came instead of photos, as a NumPy array.</summary>
internal static class GivenFeatures
{
    /// <summary>The array whose rows fit the captions.</summary>
    /// <exception cref="ProblemException">None does, or one cannot be read.</exception>
    public static RawFile Choose(RawFiles raw, int lines, int photos)
    {
        RawFile[] arrays = [.. raw.Files.Where(file => file.Kind == RawKind.Array)];
        return arrays.FirstOrDefault(file => Rows(file) == photos) ?? arrays.FirstOrDefault(file => Rows(file) == lines)
            ?? throw new ProblemException(ProblemTable.FeaturesMismatch, $"'{arrays[0].Name.Shortened(120)}' has {Rows(arrays[0]):N0} rows; the captions are {lines:N0} lines about {photos:N0} photos.");
    }

    /// <summary>Its rows.</summary>
    public static long Rows(RawFile array) => Header(array).Shape[0];

    private static NpyHeader Header(RawFile array)
    {
        try
        {
            using FileStream file = File.OpenRead(array.Path);
            NpyHeader header = Npy.ReadHeader(file);
            return header is { Shape: [> 0, > 0 and <= 65_536], Type: torch.ScalarType.Float16 or torch.ScalarType.Float32 or torch.ScalarType.Float64 } ? header
                : throw new ProblemException(ProblemTable.FeaturesMismatch, $"'{array.Name.Shortened(120)}' is not (rows, values) of float16, float32 or float64 with at most 65,536 values.");
        }
        catch (NpyException broken)
        {
            throw new ProblemException(ProblemTable.FeaturesMismatch, $"'{array.Name.Shortened(120)}': {broken.Message[(broken.Message.IndexOf(": ", StringComparison.Ordinal) + 2)..].TrimEnd('.')}.");
        }
    }

    /// <summary>Writes some of its rows as an array of their own.</summary>
    public static void Write(RawFile array, string path, IReadOnlyList<int> rows, CancellationToken cancellation)
    {
        NpyHeader header = Header(array);
        using FileStream source = File.OpenRead(array.Path);
        using FileStream file = File.Create(path);
        string descr = header.Type switch { torch.ScalarType.Float16 => "<f2", torch.ScalarType.Float32 => "<f4", _ => "<f8" };
        string text = $"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows.Count}, {header.Shape[1]}), }}";
        text = text.PadRight((text.Length + 11 + 63) / 64 * 64 - 11) + "\n";
        file.Write([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0, (byte)text.Length, (byte)(text.Length >> 8)]);
        file.Write(Encoding.ASCII.GetBytes(text));
        byte[] row = new byte[header.RowBytes];
        foreach (int wanted in rows)
        {
            cancellation.ThrowIfCancellationRequested();
            source.Position = header.DataOffset + wanted * header.RowBytes;
            source.ReadExactly(row);
            file.Write(row);
        }
    }
}
