using CaptionService.Captioning.Files;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// VGG-16's last block, conv5_1 to conv5_3 with their ReLUs: from pool4 to the regions that decoders attend to, as the encoder's
/// weights have it or as an <see cref="EncoderAdapter"/> changes it. A tenth of the encoder's work, so that models with
/// adapters of their own still share the rest, and in floats behind an encoder in int8. Not thread-safe: one caller at a time.
/// </summary>
public sealed class Conv5 : IDisposable
{
    /// <summary>torchvision's numbers of its convolutions.</summary>
    internal static readonly int[] Indices = [24, 26, 28];

    private readonly FusedConvolution? _fused;
    private readonly Convolution[] _layers;
    private readonly EncoderPrecision _precision;
    private readonly Device _device;

    // Its tensors belong to the caller's scope until Own.
    internal Conv5(IReadOnlyDictionary<string, Tensor> weights, EncoderAdapter? adapter, Device device, EncoderPrecision precision)
    {
        (_precision, _device) = (precision, device);
        _fused = precision.ChannelsLast ? FusedConvolution.TryLoad(device, precision.Type) : null;
        _layers = new Convolution[Indices.Length];
        for (int i = 0; i < Indices.Length; i++)
        {
            var (weight, bias) = Weights(weights, Indices[i]);
            if (adapter is not null)
                weight = weight.to(ScalarType.Float32).plus(adapter.Change(Indices[i]));
            _layers[i] = new Convolution(weight, bias, Vgg16.Side, _fused, precision, device);
        }
    }

    /// <summary>Reads the block's weights from an encoder's file.</summary>
    /// <param name="path">File with torchvision's names.</param>
    /// <param name="adapter">What changes them; null: nothing.</param>
    /// <param name="device">Where to run.</param>
    /// <param name="precision">Number format and layout.</param>
    /// <exception cref="SafetensorsException">The file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing or has another shape.</exception>
    public static Conv5 Load(string path, EncoderAdapter? adapter, Device device, EncoderPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var block = new Conv5(Safetensors.Load(path), adapter, device, precision);
        block.Own();
        return block;
    }

    /// <summary>Weight (512, 512, 3, 3) and bias (512) of one of its convolutions.</summary>
    internal static (Tensor Weight, Tensor Bias) Weights(IReadOnlyDictionary<string, Tensor> encoder, int index) =>
        (Vgg16.Take(encoder, $"features.{index}.weight", Vgg16.Channels, Vgg16.Channels, 3, 3), Vgg16.Take(encoder, $"features.{index}.bias", Vgg16.Channels));

    internal void Own() => Array.ForEach(_layers, layer => layer.Own());

    /// <summary>pool4 to regions.</summary>
    /// <param name="pool4">(N, 196, 512), any float type, on any device.</param>
    /// <returns>(N, 196, 512) in the precision's type, on the block's device; the caller's to dispose.</returns>
    public Tensor Forward(Tensor pool4) => Forward(pool4, null);

    /// <param name="pool4">As above.</param>
    /// <param name="seen">Called with what each layer gives.</param>
    internal Tensor Forward(Tensor pool4, Action<Tensor>? seen)
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var x = Vgg16.Map(pool4.to(_device).to(_precision.Type));
        if (!_precision.ChannelsLast)
            x = x.contiguous();
        foreach (var layer in _layers)
        {
            x = layer.Apply(x);
            seen?.Invoke(x);
        }
        return Vgg16.ByRegion(x).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var layer in _layers)
            layer.Dispose();
        _fused?.Dispose();
    }
}
