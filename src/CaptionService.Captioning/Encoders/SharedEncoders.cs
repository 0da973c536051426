using CaptionService.Captioning.Files;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>The encoders in memory, one for each set of weights, and one last block for each change of it: models with the same share
/// them.</summary>
/// <param name="precision">How they run where nothing else is asked for (<see cref="EncoderPrecision.Of"/>).</param>
public sealed class SharedEncoders(string precision = EncoderPrecision.Auto)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ((long, DateTime) Version, string Sha256)> _hashed = [];         // under _gate
    private readonly Pool<(string Encoder, EncoderPrecision?), Vgg16> _encoders = new();
    private readonly Pool<(string Encoder, string Adapter, EncoderPrecision), Conv5> _blocks = new();

    /// <summary>SHA-256 of an encoder's file, computed again only when the file has changed.</summary>
    internal string Sha256Of(string path)
    {
        var file = new FileInfo(path);
        var version = (file.Length, file.LastWriteTimeUtc);
        lock (_gate)
        {
            if (_hashed.TryGetValue(path, out var known) && known.Version == version)
                return known.Sha256;
        }
        string sha256 = Sha256.OfFile(path);
        lock (_gate)
            _hashed[path] = (version, sha256);
        return sha256;
    }

    /// <summary>Takes a share of an encoder; dispose it to give it back. The last one frees the weights.</summary>
    /// <exception cref="SafetensorsException">The file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing or has another shape.</exception>
    internal Share<Vgg16> Take(string path, string sha256, Device device, EncoderPrecision? own) =>
        _encoders.Take((sha256, own), () => own is null ? Vgg16.Load(path, sha256, device, precision) : Vgg16.Load(path, device, own));

    /// <summary>Takes a share of an encoder's last block as an adapter changes it.</summary>
    /// <exception cref="SafetensorsException">The adapter's file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A name or shape in it does not fit.</exception>
    internal Share<Conv5> TakeBlock(string path, string sha256, string adapterPath, Device device, Vgg16 encoder)
    {
        string adapterSha256 = Sha256.OfFile(adapterPath);
        return _blocks.Take((sha256, adapterSha256, encoder.Precision), () =>
        {
            using var adapter = EncoderAdapter.Load(adapterPath);
            return Conv5.Load(path, adapter, device, encoder.Precision);
        });
    }

    /// <summary>What is loaded under each key, and how many use it.</summary>
    private sealed class Pool<TKey, T> where TKey : notnull where T : IDisposable
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<TKey, Loaded<T>> _loaded = [];              // under _gate

        public Share<T> Take(TKey key, Func<T> load)
        {
            Loaded<T> loaded;
            lock (_gate)
            {
                if (!_loaded.TryGetValue(key, out loaded!))
                    _loaded[key] = loaded = new Loaded<T>(new Lazy<T>(load));
                loaded.Users++;
            }
            var share = new Share<T>(loaded, () => Leave(key, loaded));
            try
            {
                _ = share.Value;        // loaded outside the lock: giving another share back never waits for a file
                return share;
            }
            catch
            {
                share.Dispose();
                throw;
            }
        }

        private void Leave(TKey key, Loaded<T> loaded)
        {
            lock (_gate)
            {
                if (--loaded.Users > 0)
                    return;
                _loaded.Remove(key);
            }
            if (loaded.Weights.IsValueCreated)
                loaded.Weights.Value.Dispose();
        }
    }

    internal sealed class Loaded<T>(Lazy<T> weights)
    {
        public readonly Lazy<T> Weights = weights;
        public int Users;           // under the pool's gate
        public bool Used;
    }

    /// <summary>One model's share of weights.</summary>
    internal sealed class Share<T>(Loaded<T> loaded, Action leave) : IDisposable
    {
        private Action? _leave = leave;

        public T Value => loaded.Weights.Value;

        /// <summary>True once for all shares: to the first user, who may try the weights before they serve.</summary>
        public bool IsFirstUse() => !Interlocked.Exchange(ref loaded.Used, true);

        public void Dispose() => Interlocked.Exchange(ref _leave, null)?.Invoke();
    }
}
