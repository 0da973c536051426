using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using System.Text;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>
/// What the encoder sees of every photo of a split, computed once and mapped from disk: fp16, 196 × 512 a photo (200 KB).
/// The file's name is a digest of the encoder's weights, the photos' contents and the view, so a change of any makes a new one;
/// an index beside it lists finished blocks with their SHA-256, so that a broken pass goes on where it was and
/// a damaged block is computed again.
/// </summary>
public sealed class FeatureCache : FeatureSource
{
    private const int Block = 32;                                       // photos encoded and written together
    private const int PhotoBytes = Vgg16.Places * Vgg16.Channels * 2;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    private FeatureCache(string path)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
    }

    /// <inheritdoc/>
    public override int Size => Vgg16.Channels;

    /// <inheritdoc/>
    public override bool SingleVector => false;

    /// <summary>Opens the features of the photos, computing what is not there yet.</summary>
    /// <param name="folder">Where the caches are.</param>
    /// <param name="photos">Order = rows.</param>
    /// <param name="encoding">What sees them.</param>
    /// <param name="view">How the photos are seen.</param>
    /// <param name="progress">Called after each block.</param>
    /// <param name="stop">Ends the pass after the block under way.</param>
    /// <exception cref="DatasetException">A photo cannot be read.</exception>
    public static FeatureCache Open(string folder, IReadOnlyList<CaptionedPhoto> photos, PhotoEncoding encoding, PhotoView view, Progress progress, CancellationToken stop)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, Digest(photos, encoding, view) + ".features");
        using var alone = Alone(path + ".lock", stop);
        var done = Verified(path, photos.Count);
        int blocks = (photos.Count + Block - 1) / Block;
        if (done.Count < blocks)
        {
            using var encoder = encoding.Open();
            using var data = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
            using var index = new StreamWriter(new FileStream(path + ".index", FileMode.Append)) { NewLine = "\n" };
            if (index.BaseStream.Length > 0)
                index.WriteLine();                  // a line cut by a crash must not swallow the next
            progress.Begin(view == PhotoView.Upright ? "features" : $"features ({PhotoViews.Name(view)})", photos.Count, Math.Min(done.Count * Block, photos.Count));
            for (int block = 0; block < blocks; block++)
            {
                if (done.Contains(block))
                    continue;
                stop.ThrowIfCancellationRequested();
                var part = photos.Skip(block * Block).Take(Block).ToArray();
                byte[] features = Encode(encoder, part, view);
                data.Position = (long)block * Block * PhotoBytes;
                data.Write(features);
                data.Flush(flushToDisk: true);          // a block is listed only when it is on the disk
                index.WriteLine($"{block} {Convert.ToHexStringLower(SHA256.HashData(features))}");
                index.Flush();
                progress.Advance(part.Length);
            }
        }
        return new FeatureCache(path);
    }

    /// <inheritdoc/>
    public override unsafe Tensor Rows(IReadOnlyList<int> rows)
    {
        var result = empty(rows.Count, Vgg16.Places, Vgg16.Channels, ScalarType.Float16);
        byte* source = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref source);
        try
        {
            var target = result.bytes;
            for (int i = 0; i < rows.Count; i++)
                new ReadOnlySpan<byte>(source + (long)rows[i] * PhotoBytes, PhotoBytes).CopyTo(target[(i * PhotoBytes)..]);
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

    private static byte[] Encode(PhotoEncoding.Encoder encoder, CaptionedPhoto[] photos, PhotoView view)
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
        using var scope = NewDisposeScope();
        var features = new List<Tensor>();
        foreach (var batch in decoded.Chunk(8))
        {
            features.Add(encoder.See(PhotoViews.See(Vgg16.Pixels(batch), view)).to(ScalarType.Float16).cpu());
        }
        return cat(features).contiguous().bytes.ToArray();
    }

    private static string Digest(IReadOnlyList<CaptionedPhoto> photos, PhotoEncoding encoding, PhotoView view)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        digest.AppendData(Encoding.UTF8.GetBytes($"{encoding.Digest} {PhotoViews.Name(view)} 224 fp16 {Block}\n"));
        foreach (var photo in photos)
            digest.AppendData(SHA256.HashData(File.ReadAllBytes(photo.Path)));
        return Convert.ToHexStringLower(digest.GetHashAndReset())[..32];
    }

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

    /// <summary>Blocks whose bytes are what the index says.</summary>
    private static HashSet<int> Verified(string path, int photos)
    {
        var done = new HashSet<int>();
        if (!File.Exists(path) || !File.Exists(path + ".index"))
            return done;
        using var data = File.OpenRead(path);
        byte[] buffer = new byte[Block * PhotoBytes];
        foreach (string line in File.ReadLines(path + ".index"))
        {
            string[] parts = line.Split(' ');
            if (parts.Length != 2 || !int.TryParse(parts[0], out int block) || block < 0 || (long)block * Block >= photos)
                continue;                               // a line cut by a crash
            int length = Math.Min(Block, photos - block * Block) * PhotoBytes;
            data.Position = (long)block * Block * PhotoBytes;
            if (data.ReadAtLeast(buffer.AsSpan(0, length), length, throwOnEndOfStream: false) == length
                && Convert.ToHexStringLower(SHA256.HashData(buffer.AsSpan(0, length))) == parts[1])
                done.Add(block);
        }
        return done;
    }
}
