using CaptionService.Captioning.Files;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// VGG-16 (Simonyan and Zisserman 2015, configuration D) up to conv5_3 after its ReLU, before pool5:
/// 196 regions (14×14, by row) of 512 values; in two parts, up to pool4 and <see cref="Conv5"/>, since models may change the second.
/// Weights carry torchvision's names (<c>features.N.weight</c>);
/// where the file also has <c>classifier.0</c> and <c>classifier.3</c>, <see cref="Fc7"/> gives the 4,096-d vector.
/// Not thread-safe: one caller at a time.
/// </summary>
public sealed class Vgg16 : IDisposable
{
    /// <summary>Regions of the feature map, 14×14.</summary>
    public const int Regions = 196;

    /// <summary>Values of a region, before conv5 as after it.</summary>
    public const int Channels = 512;

    /// <summary>Regions of a row and of a column.</summary>
    internal const int Side = 14;

    /// <summary>Values of the fc7 vector.</summary>
    public const int Fc7Size = 4096;

    /// <summary>torchvision's layer table up to pool4: output channels of each 3×3 convolution; 0 = 2×2 max pooling.</summary>
    private static readonly int[] s_trunk = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0];

    private readonly List<IConvolution?> _layers = [];      // null: pooling
    private readonly FusedConvolution? _fused;
    private readonly Int8Kernel? _int8;
    private readonly (Tensor Weight, Tensor Bias)? _fc6, _fc7;
    private readonly Tensor _mean, _deviation;      // of pixels, (3) float32
    private readonly Device _device;

    /// <summary>Number format and layout the convolutions run in.</summary>
    public EncoderPrecision Precision { get; }

    /// <summary>What is wrong with the int8 scales beside it, so that it runs in floats; null: nothing, or there are none.</summary>
    public string? WhyNotInt8 { get; private init; }

    /// <summary>The last block as these weights have it.</summary>
    public Conv5 Conv5 { get; }

    /// <summary>Whether the weights include fc6 and fc7.</summary>
    public bool HasFc7 => _fc7 is not null;

    // Its tensors belong to the caller's scope until all are there: a refused file leaves none behind.
    private Vgg16(IReadOnlyDictionary<string, Tensor> weights, Device device, EncoderPrecision precision, Int8Scales? scales)
    {
        (_device, Precision) = (device, precision);
        // ImageNet's figures, as torchvision, for pixels of 0 to 255.
        _mean = tensor(new float[] { 255 * 0.485f, 255 * 0.456f, 255 * 0.406f }).to(device);
        _deviation = tensor(new float[] { 255 * 0.229f, 255 * 0.224f, 255 * 0.225f }).to(device);
        if (scales is not null)
            _int8 = Int8Kernel.TryLoad(device) ?? throw new ModelBundleException("This machine's libtorch has no int8 convolutions (they need a CPU with AVX2): choose another encoder precision.");
        else if (precision.ChannelsLast)
            _fused = FusedConvolution.TryLoad(device, precision.Type);
        int index = 0, input = 3, side = Photo.Side;
        float[]? before = null, after;
        foreach (int output in s_trunk)
        {
            if (output == 0)
            {
                _layers.Add(null);
                index += 1;         // MaxPool2d
                side /= 2;
                continue;
            }
            string name = $"features.{index}";
            var weight = Take(weights, $"{name}.weight", output, input, 3, 3);
            var bias = Take(weights, $"{name}.bias", output);
            if (_int8 is null)
                _layers.Add(new Convolution(weight, bias, side, _fused, precision, device));
            else if (!scales!.Layers.TryGetValue(name, out after))
                _layers.Add(Int8Convolution.ToFloats(_int8, weight, bias, before!, side, precision.Type));
            else if (before is null)
                _layers.Add(Int8Convolution.OfPixels(_int8, weight, bias, _mean, _deviation, before = after, side));
            else
                _layers.Add(Int8Convolution.ToBytes(_int8, weight, bias, before, before = after, side));
            index += 2;             // Conv2d, ReLU
            input = output;
        }
        Conv5 = new Conv5(weights, null, device, precision);
        if (weights.ContainsKey("classifier.3.weight"))
        {
            _fc6 = Dense(weights, "classifier.0", Fc7Size, 512 * 7 * 7);
            _fc7 = Dense(weights, "classifier.3", Fc7Size, Fc7Size);
        }
        foreach (var tensor in Tensors())
            tensor.DetachFromDisposeScope();
        foreach (var layer in _layers)
            layer?.Own();
        Conv5.Own();
    }

    /// <summary>Reads the weights (fp32, fp16 or bf16 safetensors).</summary>
    /// <param name="path">File with torchvision's names.</param>
    /// <param name="device">Where to run.</param>
    /// <param name="precision">null: <see cref="EncoderPrecision.Fastest"/> on this machine.</param>
    /// <exception cref="SafetensorsException">The file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing or has another shape; int8 lacks its scales or a machine that can.</exception>
    public static Vgg16 Load(string path, Device device, EncoderPrecision? precision = null)
    {
        precision ??= EncoderPrecision.Fastest(device);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return new Vgg16(Safetensors.Load(path), device, precision, precision.Int8 ? Int8Scales.Load(path, Sha256.OfFile(path)) : null);
    }

    /// <summary>Reads the weights, for a precision that was chosen by name.</summary>
    /// <param name="path">File with torchvision's names.</param>
    /// <param name="sha256">Its SHA-256.</param>
    /// <param name="device">Where to run.</param>
    /// <param name="choice">As <see cref="EncoderPrecision.Of"/>; <see cref="EncoderPrecision.Auto"/> does without int8 where no scales allow it.</param>
    /// <exception cref="SafetensorsException">The file is no safetensors file.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing or has another shape; a forced int8 lacks its scales or a machine that can.</exception>
    internal static Vgg16 Load(string path, string sha256, Device device, string choice)
    {
        Int8Scales? scales = null;
        string? why = null;
        if (choice == EncoderPrecision.InInt8 || choice == EncoderPrecision.Auto && File.Exists(Int8Scales.PathBeside(path)))
        {
            try
            {
                scales = Int8Scales.Load(path, sha256);
            }
            catch (ModelBundleException e) when (choice == EncoderPrecision.Auto)
            {
                why = e.Message;
            }
        }
        // Where int8 may not be chosen it need not be measured.
        var precision = choice == EncoderPrecision.Auto && scales is not { Automatic: true } ? EncoderPrecision.Fastest(device) : EncoderPrecision.Of(choice, device);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return new Vgg16(Safetensors.Load(path), device, precision, precision.Int8 ? scales : null) { WhyNotInt8 = why };
    }

    /// <summary>Photos as the encoder takes them.</summary>
    /// <returns>(N, 224, 224, 3) uint8 on the CPU; the caller's to dispose.</returns>
    public static Tensor Pixels(IReadOnlyList<Photo> photos)
    {
        var pixels = empty(photos.Count, Photo.Side, Photo.Side, 3, ScalarType.Byte);
        var bytes = pixels.bytes;
        for (int i = 0; i < photos.Count; i++)
            photos[i].Pixels.Span.CopyTo(bytes[(i * Photo.Side * Photo.Side * 3)..]);
        return pixels;
    }

    /// <summary>Photos to their regions.</summary>
    /// <param name="pixels">(N, 224, 224, 3) uint8 RGB, on any device.</param>
    /// <returns>(N, 196, 512) in the precision's type, on the encoder's device; the caller's to dispose.</returns>
    public Tensor Forward(Tensor pixels)
    {
        using var pool4 = Pool4(pixels);
        return Conv5.Forward(pool4);
    }

    /// <summary>Photos to what <see cref="Encoders.Conv5"/> works from.</summary>
    /// <param name="pixels">(N, 224, 224, 3) uint8 RGB, on any device.</param>
    /// <returns>(N, 196, 512) in the precision's type, on the encoder's device; the caller's to dispose.</returns>
    public Tensor Pool4(Tensor pixels) => Pool4(pixels, null);

    /// <param name="pixels">As above.</param>
    /// <param name="seen">Called with what each convolution gives.</param>
    internal Tensor Pool4(Tensor pixels, Action<Tensor>? seen)
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var x = _int8 is null ? Normal(pixels) : Int8Convolution.Framed(pixels, _mean);
        foreach (var layer in _layers)
        {
            var y = layer?.Apply(x) ?? (x.dtype == ScalarType.Byte ? Int8Convolution.MaxPool(x) : nn.functional.max_pool2d(x, 2, 2));
            if (layer is not null)
                seen?.Invoke(y);
            x.Dispose();            // large: not at the end of the scope
            x = y;
        }
        return ByRegion(x).MoveToOuterDisposeScope();
    }

    /// <summary>(N, 224, 224, 3) uint8 → (N, 3, 224, 224), as the network was trained.</summary>
    private Tensor Normal(Tensor pixels)
    {
        var normal = pixels.to(_device).to(ScalarType.Float32).sub_(_mean).div_(_deviation);
        // NHWC bytes are already channels_last: the permuted view needs no copy.
        return Precision.ChannelsLast ? normal.to(Precision.Type).permute(0, 3, 1, 2) : Precision.Lay(normal.permute(0, 3, 1, 2));
    }

    /// <summary>(N, C, 14, 14) → (N, 196, C); a view where the map is channels_last.</summary>
    internal static Tensor ByRegion(Tensor map) => map.permute(0, 2, 3, 1).reshape(map.shape[0], Regions, Channels);

    /// <summary>(N, 196, C) → (N, C, 14, 14), a view, channels_last.</summary>
    internal static Tensor Map(Tensor regions) => regions.view(-1, Side, Side, Channels).permute(0, 3, 1, 2);

    /// <summary>Regions to the fc7 vector, after its ReLU (the tutorial's feature).</summary>
    /// <param name="regions">(N, 196, 512).</param>
    /// <returns>(N, 4096) float32.</returns>
    /// <exception cref="InvalidOperationException">The weights have no classifier.</exception>
    public Tensor Fc7(Tensor regions)
    {
        if (_fc6 is not { } fc6 || _fc7 is not { } fc7)
            throw new InvalidOperationException("These encoder weights have no classifier.0 and classifier.3: supply torchvision's full VGG-16.");
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var pooled = nn.functional.max_pool2d(Map(regions.to(ScalarType.Float32)), 2, 2);
        var x = pooled.reshape(pooled.shape[0], -1);                       // (N, 512·7·7), channels first as torchvision
        x = nn.functional.linear(x, fc6.Weight, fc6.Bias).relu_();
        return nn.functional.linear(x, fc7.Weight, fc7.Bias).relu_().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Tensors())
            tensor.Dispose();
        foreach (var layer in _layers)
            layer?.Dispose();
        Conv5.Dispose();
        _fused?.Dispose();
        _int8?.Dispose();
    }

    private IEnumerable<Tensor> Tensors() =>
        [_mean, _deviation, .. new[] { _fc6, _fc7 }.OfType<(Tensor Weight, Tensor Bias)>().SelectMany(l => new[] { l.Weight, l.Bias })];

    private (Tensor, Tensor) Dense(IReadOnlyDictionary<string, Tensor> weights, string name, int output, int input) =>
        (Take(weights, name + ".weight", output, input).to(_device).to(ScalarType.Float32),
         Take(weights, name + ".bias", output).to(_device).to(ScalarType.Float32));

    internal static Tensor Take(IReadOnlyDictionary<string, Tensor> weights, string name, params long[] shape)
    {
        if (!weights.TryGetValue(name, out var tensor))
            throw new ModelBundleException($"The encoder weights have no tensor '{name}' (torchvision's names for VGG-16 are expected).");
        if (!tensor.shape.AsSpan().SequenceEqual(shape))
            throw new ModelBundleException($"Encoder tensor '{name}' has shape [{string.Join(", ", tensor.shape)}], expected [{string.Join(", ", shape)}].");
        return tensor;
    }
}
