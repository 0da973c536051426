using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>The encoder's last block while its adapter is learnt: the block's own weights stay, autograd reaches only the adapter's.</summary>
internal sealed class TunedEncoder : IDisposable
{
    private readonly (Tensor Weight, Tensor Bias)[] _own;                  // float32, as read
    private (Tensor Weight, Tensor Bias)[] _layers = [];                   // in the compute type, channels_last
    private ScalarType _type;

    /// <summary>The weights that are learnt.</summary>
    public EncoderAdapter Adapter { get; }

    /// <summary>Reads the block's weights.</summary>
    /// <param name="encoderPath">Weights of the encoder.</param>
    /// <param name="adapter">What is learnt; disposed with this.</param>
    public TunedEncoder(string encoderPath, EncoderAdapter adapter)
    {
        Adapter = adapter;
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var weights = Safetensors.Load(encoderPath);
        _own = [.. Conv5.Indices.Select(index => Conv5.Weights(weights, index)).Select(w => (Keep(w.Weight), Keep(w.Bias)))];
        adapter.to(TorchRuntime.Device);

        static Tensor Keep(Tensor x) => x.to(ScalarType.Float32, TorchRuntime.Device, copy: true).DetachFromDisposeScope();
    }

    /// <summary>Sets the number format of the convolutions.</summary>
    public void Prepare(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var precision = new EncoderPrecision(_type = type, ChannelsLast: true);
        Clear();
        _layers = [.. _own.Select(w => (precision.Lay(w.Weight).DetachFromDisposeScope(), w.Bias.to(type, copy: true).DetachFromDisposeScope()))];
    }

    /// <summary>From pool4 to the features of each region.</summary>
    /// <param name="pool4">(N, 196, 512), any float type, on the device.</param>
    /// <returns>(N, 196, 512) in the compute type; autograd leads back to the adapter.</returns>
    public Tensor Forward(Tensor pool4)
    {
        var x = Vgg16.Map(pool4.to(_type));
        for (int i = 0; i < _layers.Length; i++)
        {
            // A and B instead of their product: the way back needs no gradient of the whole weight.
            var (a, b) = Adapter.Factors(Conv5.Indices[i]);
            using Scalar scale = EncoderAdapter.Scale;
            var change = nn.functional.conv2d(nn.functional.conv2d(x, a.to(_type), padding: [1L, 1L]), b.to(_type));
            x = nn.functional.conv2d(x, _layers[i].Weight, _layers[i].Bias, padding: [1L, 1L]).add(change, scale).relu();
        }
        return Vgg16.ByRegion(x);
    }

    private void Clear()
    {
        foreach (var (weight, bias) in _layers)
        {
            weight.Dispose();
            bias.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        foreach (var (weight, bias) in _own)
        {
            weight.Dispose();
            bias.Dispose();
        }
        Adapter.Dispose();
    }
}
