using System.Buffers;
using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using System.Text;
using CaptionService.Captioning.Encoders;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>
/// The encoder's features of photos, computed once and mapped from disk: fp16, 196 × 512 a photo (200 KB). One file holds all photos that were
/// encoded with the same weights with the same augmentation; its name is a digest of both. An index beside it gives each photo's row by the SHA-256 of its
/// bytes, so splits, data sets and jobs share what they have in common. Rows are only appended, and listed with their own SHA-256 once they
/// are on the disk: a broken pass goes on where it was, and a damaged row is computed again. Photos whose pool4 is cached go only through the
/// encoder's last block, a tenth of the work.
/// </summary>
public sealed class FeatureCache : FeatureSource
{
    private const int Block = 32;                                       // photos encoded and written together
    private const int PhotoBytes = Vgg16.Regions * Vgg16.Channels * 2;

    private readonly int[] _rows;                                       // photo → row of the file
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    private FeatureCache(string path, int[] rows)
    {
        _rows = rows;
        // Others may append meanwhile.
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
    }

    /// <inheritdoc/>
    public override int Size => Vgg16.Channels;

    /// <inheritdoc/>
    public override bool SingleVector => false;

    /// <summary>Opens the features of the photos, computing what is not there yet.</summary>
    /// <param name="folder">Where the caches are.</param>
    /// <param name="photos">Order = rows; at least one.</param>
    /// <param name="encoding">What encodes them.</param>
    /// <param name="augmentation">What is done to the photos first.</param>
    /// <param name="progress">Called after each block.</param>
    /// <param name="stop">Ends the pass after the block under way.</param>
    /// <exception cref="DatasetException">A photo cannot be read.</exception>
    public static FeatureCache Open(string folder, IReadOnlyList<CaptionedPhoto> photos, PhotoEncoding encoding, Augmentation augmentation, Progress progress, CancellationToken stop)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, Name(encoding, augmentation));
        string[] digests = [.. photos.AsParallel().AsOrdered().Select(photo => photo.Sha256)];
        using var alone = Alone(path + ".lock", stop);
        var rows = Verified(path, digests.ToHashSet(StringComparer.Ordinal));
        var missing = photos.Zip(digests).DistinctBy(p => p.Second).Where(p => !rows.ContainsKey(p.Second)).ToArray();
        if (missing.Length > 0)
        {
            using var encoder = encoding.Open();
            using var data = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
            using var index = new StreamWriter(new FileStream(path + ".index", FileMode.Append)) { NewLine = "\n" };
            if (index.BaseStream.Length > 0)
                index.WriteLine();                  // a line cut by a crash must not swallow the next
            string pool4Path = Path.Combine(folder, Name(encoding with { AdapterPath = null, Pool4 = true }, augmentation));
            var pool4 = encoding.Pool4 ? [] : Verified(pool4Path, [.. missing.Select(p => p.Second)]);
            using var cached = pool4.Count == 0 ? null : new FeatureCache(pool4Path, [.. missing.Select(p => pool4.GetValueOrDefault(p.Second))]);
            int next = (int)(data.Length / PhotoBytes), begun = 0;
            progress.Begin(augmentation == Augmentation.None ? "features" : $"features ({augmentation.Name()})", photos.Count, photos.Count - missing.Length);
            foreach (var block in missing.Chunk(Block))
            {
                stop.ThrowIfCancellationRequested();
                byte[] features = cached is not null && block.All(p => pool4.ContainsKey(p.Second))
                    ? FromPool4(encoder, cached, [.. Enumerable.Range(begun, block.Length)])
                    : Encode(encoder, [.. block.Select(p => p.First)], augmentation);
                begun += block.Length;
                data.Position = (long)next * PhotoBytes;
                data.Write(features);
                data.Flush(flushToDisk: true);          // a row is listed only when it is on the disk
                for (int i = 0; i < block.Length; i++)
                {
                    rows[block[i].Second] = next;
                    index.WriteLine($"{block[i].Second} {next++} {Convert.ToHexStringLower(SHA256.HashData(features.AsSpan(i * PhotoBytes, PhotoBytes)))}");
                }
                index.Flush();
                progress.Advance(block.Length);
            }
        }
        return new FeatureCache(path, Array.ConvertAll(digests, digest => rows[digest]));
    }

    /// <inheritdoc/>
    public override unsafe Tensor Rows(IReadOnlyList<int> rows)
    {
        var result = empty(rows.Count, Vgg16.Regions, Vgg16.Channels, ScalarType.Float16);
        byte* source = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref source);
        try
        {
            var target = result.bytes;
            for (int i = 0; i < rows.Count; i++)
                new ReadOnlySpan<byte>(source + (long)_rows[rows[i]] * PhotoBytes, PhotoBytes).CopyTo(target[(i * PhotoBytes)..]);
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

    private static byte[] Encode(PhotoEncoding.Encoder encoder, CaptionedPhoto[] photos, Augmentation augmentation)
    {
        using var scope = NewDisposeScope();
        var features = new List<Tensor>();
        foreach (var batch in Decode(photos).Chunk(8))
        {
            features.Add(encoder.Encode(augmentation.Apply(Vgg16.Pixels(batch))).to(ScalarType.Float16).cpu());
        }
        return cat(features).contiguous().bytes.ToArray();
    }

    /// <summary>Reads photos.</summary>
    /// <exception cref="DatasetException">One of them cannot be read.</exception>
    internal static Photo[] Decode(CaptionedPhoto[] photos)
    {
        var decoded = new Photo[photos.Length];
        var rejected = new string?[photos.Length];
        Parallel.For(0, photos.Length, i =>
        {
            try
            {
                decoded[i] = Photo.Decode(File.ReadAllBytes(photos[i].Path));
            }
            catch (PhotoRejectedException e)
            {
                rejected[i] = $"{photos[i].Name}: {e.Message}";
            }
        });
        if (rejected.FirstOrDefault(r => r is not null) is { } first)
            throw new DatasetException(first);
        return decoded;
    }

    private static byte[] FromPool4(PhotoEncoding.Encoder encoder, FeatureCache pool4, int[] rows)
    {
        using var scope = NewDisposeScope();
        return encoder.FromPool4(pool4.Rows(rows)).to(ScalarType.Float16).cpu().contiguous().bytes.ToArray();
    }

    private static string Name(PhotoEncoding encoding, Augmentation augmentation) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{encoding.Digest} {augmentation.Name()} 224 fp16\n")))[..32] + ".features";

    // Jobs and evaluations over the same photos: one encodes, the others wait and find it done.
    private static FileStream Alone(string path, CancellationToken stop)
    {
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(path))
            {
                stop.WaitHandle.WaitOne(200);
                stop.ThrowIfCancellationRequested();
            }
        }
    }

    /// <summary>The rows of photos whose bytes are what the index says, by the photos' digests.</summary>
    private static Dictionary<string, int> Verified(string path, HashSet<string> photos)
    {
        if (!File.Exists(path) || !File.Exists(path + ".index"))
            return [];
        var listed = new Dictionary<string, (int Row, string Sha256)>(StringComparer.Ordinal);
        foreach (string line in File.ReadLines(path + ".index"))
        {
            // A line cut by a crash is not one of these; the last of a photo counts.
            if (line.Split(' ') is [var photo, var row, { Length: 64 } sha256] && photos.Contains(photo) && int.TryParse(row, out int number) && number >= 0)
                listed[photo] = (number, sha256);
        }
        using var data = File.OpenHandle(path, share: FileShare.ReadWrite);
        return listed.AsParallel().Where(photo => Whole(data, photo.Value.Row, photo.Value.Sha256)).ToDictionary(photo => photo.Key, photo => photo.Value.Row, StringComparer.Ordinal);

        static bool Whole(Microsoft.Win32.SafeHandles.SafeFileHandle data, int row, string sha256)
        {
            byte[] buffer = ArrayPool<byte>.Shared.Rent(PhotoBytes);
            try
            {
                var bytes = buffer.AsSpan(0, PhotoBytes);
                return RandomAccess.Read(data, bytes, (long)row * PhotoBytes) == PhotoBytes && Convert.ToHexStringLower(SHA256.HashData(bytes)) == sha256;
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }
}
