using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>The encoders in memory, one for each set of weights: models that see with the same weights share it.</summary>
public sealed class SharedEncoders
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Sha256, EncoderPrecision? Precision), Shared> _loaded = [];      // under _gate
    private readonly Dictionary<string, ((long, DateTime) Version, string Sha256)> _hashed = [];         // under _gate

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
        string sha256 = ModelBundle.FileSha256(path);
        lock (_gate)
            _hashed[path] = (version, sha256);
        return sha256;
    }

    /// <summary>Takes a share; dispose it to give it back. The last one frees the weights.</summary>
    /// <exception cref="SafetensorsException">The file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing or has another shape.</exception>
    internal Share Take(string path, string sha256, Device device, EncoderPrecision? precision)
    {
        Shared shared;
        lock (_gate)
        {
            if (!_loaded.TryGetValue((sha256, precision), out shared!))
                _loaded[(sha256, precision)] = shared = new Shared(new Lazy<Vgg16>(() => Vgg16.Load(path, device, precision)));
            shared.Users++;
        }
        var share = new Share(this, (sha256, precision), shared);
        try
        {
            _ = share.Encoder;      // loaded outside the lock: giving another share back never waits for a file
            return share;
        }
        catch
        {
            share.Dispose();
            throw;
        }
    }

    /// <summary>One model's share of an encoder.</summary>
    internal sealed class Share(SharedEncoders owner, (string, EncoderPrecision?) key, Shared shared) : IDisposable
    {
        private bool _given;        // under the owner's gate

        public Vgg16 Encoder => shared.Encoder.Value;

        /// <summary>True once for each encoder: to its first user, who may try it before it serves.</summary>
        public bool IsFirstUse() => !Interlocked.Exchange(ref shared.Used, true);

        public void Dispose()
        {
            lock (owner._gate)
            {
                if (_given)
                    return;
                _given = true;
                if (--shared.Users > 0)
                    return;
                owner._loaded.Remove(key);
            }
            if (shared.Encoder.IsValueCreated)
                shared.Encoder.Value.Dispose();
        }
    }

    internal sealed class Shared(Lazy<Vgg16> encoder)
    {
        public readonly Lazy<Vgg16> Encoder = encoder;
        public int Users;           // under the owner's gate
        public bool Used;
    }
}
