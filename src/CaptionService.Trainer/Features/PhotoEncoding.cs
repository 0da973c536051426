using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>What encodes the photos of a run, and how far.</summary>
/// <param name="EncoderPath">Weights of the encoder.</param>
/// <param name="AdapterPath">What changes its last block (<see cref="EncoderAdapter"/>); null: nothing.</param>
/// <param name="Pool4">Only as far as pool4: the last block is about to change.</param>
/// <param name="Int8">With the encoder in int8 instead of the fastest float, between whose features no run tells a difference.</param>
public sealed record PhotoEncoding(string EncoderPath, string? AdapterPath = null, bool Pool4 = false, bool Int8 = false)
{
    /// <summary>What a model's photos are encoded with.</summary>
    public static PhotoEncoding Of(ModelBundle? model) => new(model?.EncoderPath ?? DefaultModels.EncoderPath, model?.AdapterPath);

    /// <summary>Digest of the weights: encodings that give the same features have the same.</summary>
    public string Digest => Sha256.OfFile(EncoderPath) + (Pool4 ? " pool4" : AdapterPath is null ? "" : " " + Sha256.OfFile(AdapterPath))
        + (Int8 ? $" int8 {Sha256.OfFile(Int8Scales.PathBeside(EncoderPath))}" : "");

    /// <summary>Loads the weights.</summary>
    public Encoder Open() => new(this);

    /// <summary>The weights, in memory.</summary>
    public sealed class Encoder : IDisposable
    {
        private readonly Vgg16 _vgg16;
        private readonly Conv5? _adapted;
        private readonly bool _pool4;

        internal Encoder(PhotoEncoding encoding)
        {
            _pool4 = encoding.Pool4;
            _vgg16 = Vgg16.Load(encoding.EncoderPath, TorchRuntime.Device, encoding.Int8 ? EncoderPrecision.InBytes(TorchRuntime.Device) : null);
            if (_pool4 || encoding.AdapterPath is null)
                return;
            using var adapter = EncoderAdapter.Load(encoding.AdapterPath);
            _adapted = Conv5.Load(encoding.EncoderPath, adapter, TorchRuntime.Device, _vgg16.Precision);
        }

        /// <summary>(N, 224, 224, 3) uint8 → (N, 196, 512); the caller's to dispose.</summary>
        public Tensor Encode(Tensor pixels)
        {
            if (!_pool4 && _adapted is null)
                return _vgg16.Forward(pixels);
            var pool4 = _vgg16.Pool4(pixels);
            if (_pool4)
                return pool4;
            using (pool4)
                return _adapted!.Forward(pool4);
        }

        /// <summary>pool4 (N, 196, 512) → (N, 196, 512); the caller's to dispose.</summary>
        public Tensor FromPool4(Tensor pool4) => (_adapted ?? _vgg16.Conv5).Forward(pool4);

        /// <inheritdoc/>
        public void Dispose()
        {
            _adapted?.Dispose();
            _vgg16.Dispose();
        }
    }
}
