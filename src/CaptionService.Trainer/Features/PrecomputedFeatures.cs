using System.IO.MemoryMappedFiles;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>
/// Features that came with the data set: <c>features.npy</c>, (photos, values) of float16, float32 or float64, mapped from disk;
/// <c>names.txt</c> beside it names the photo of each row. No photo is needed.
/// </summary>
public sealed class PrecomputedFeatures : FeatureSource
{
    private readonly NpyHeader _header;
    private readonly int[] _rows;                   // photo → row of the file
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    private PrecomputedFeatures(string path, NpyHeader header, int[] rows)
    {
        (_header, _rows) = (header, rows);
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
    }

    /// <inheritdoc/>
    public override int Size => (int)_header.Shape[1];

    /// <inheritdoc/>
    public override bool SingleVector => true;

    /// <summary>Opens the features of the photos.</summary>
    /// <exception cref="DatasetException">The file is not such an array, or lacks a photo.</exception>
    public static PrecomputedFeatures Open(string path, IReadOnlyList<CaptionedPhoto> photos)
    {
        var header = Header(path);
        string names = Path.Combine(Path.GetDirectoryName(path)!, DatasetFolder.Names);
        var rowOf = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string name in File.ReadLines(names))
            rowOf.TryAdd(name, rowOf.Count);
        if (rowOf.Count != header.Shape[0])
            throw new DatasetException($"{DatasetFolder.Features} has {header.Shape[0]} rows, {DatasetFolder.Names} {rowOf.Count} names.");
        var missing = photos.Where(p => !rowOf.ContainsKey(p.Name)).Select(p => p.Name).ToArray();
        if (missing.Length > 0)
            throw new DatasetException($"{missing.Length} photos have no features, {string.Join(", ", missing.Take(5))} among them.");
        return new PrecomputedFeatures(path, header, [.. photos.Select(p => rowOf[p.Name])]);
    }

    /// <summary>Reads and checks what the file says of itself.</summary>
    /// <exception cref="DatasetException">It is no array of vectors.</exception>
    internal static NpyHeader Header(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            var header = Npy.ReadHeader(file);
            return header is { Shape: [> 0, > 0 and <= 65_536], Type: ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64 }
                ? header
                : throw new DatasetException($"{DatasetFolder.Features} is {header.Type} [{string.Join(", ", header.Shape)}]; it must be (photos, values) of float16, float32 or float64, with at most 65,536 values.");
        }
        catch (NpyException e)
        {
            throw new DatasetException(e.Message);
        }
    }

    /// <inheritdoc/>
    public override unsafe Tensor Rows(IReadOnlyList<int> rows)
    {
        var result = empty(rows.Count, Size, _header.Type);        // (N, F)
        byte* source = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref source);
        try
        {
            int bytes = (int)_header.RowBytes;
            var target = result.bytes;
            for (int i = 0; i < rows.Count; i++)
                new ReadOnlySpan<byte>(source + _header.DataOffset + _rows[rows[i]] * _header.RowBytes, bytes).CopyTo(target[(i * bytes)..]);
        }
        finally
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }
        return result;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }
}
