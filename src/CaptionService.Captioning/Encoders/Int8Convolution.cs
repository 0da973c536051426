using System.Numerics;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// One 3×3 convolution with its ReLU on bytes. A byte of an activation stands for itself times the layer's scale, a byte of a
/// weight for itself times its output channel's; both scales and the next layer's are multiplied into one factor for each
/// output channel, beforehand.
/// </summary>
internal sealed class Int8Convolution : IConvolution
{
    /// <summary>Channels of pixels: three, and 0 for the rest. The kernel is wrong with fewer than 16.</summary>
    public const int PixelChannels = 16;

    private readonly Int8Kernel _kernel;
    private readonly Tensor _weight, _factors, _zeros, _bias;
    private readonly int _padding;
    private readonly ScalarType? _floats;       // null: gives bytes

    private Int8Convolution(Int8Kernel kernel, Tensor weight, Tensor bias, double input, double output, int side, int padding, ScalarType? floats, Tensor? zero = null)
    {
        (_kernel, _padding, _floats) = (kernel, padding, floats);
        var w = weight.to(ScalarType.Float32);
        var step = maximum(w.abs().amax([1, 2, 3]), ones(1).times(1e-12)).times(1.0 / kernel.MaxWeight);     // (out)
        var bytes = w.div(step.view(-1, 1, 1, 1)).round().to(ScalarType.Int8);
        var b = bias.to(ScalarType.Float32);
        if (zero is not null)                   // of the weights as they are now, so that a grey photo's sums are right
            b = b.plus(bytes.to(ScalarType.Float32).sum([2, 3]).mul(zero).sum([1]).mul(step).times(-input));
        _factors = step.times(input / output);
        _zeros = zeros(step.shape[0], ScalarType.Int32);
        _bias = b.times(1 / output);
        _weight = kernel.Pack(bytes, _factors, side, padding);
    }

    /// <param name="kernel">What computes it; stays the caller's.</param>
    /// <param name="weight">(out, in, 3, 3), of any float type; stays the caller's.</param>
    /// <param name="bias">(out).</param>
    /// <param name="input">What a 1 of the input stands for.</param>
    /// <param name="output">What a 1 of the output stands for.</param>
    /// <param name="side">Height and width of the maps it is meant for.</param>
    public static Int8Convolution ToBytes(Int8Kernel kernel, Tensor weight, Tensor bias, double input, double output, int side) =>
        new(kernel, weight, bias, input, output, side, padding: 1, floats: null);

    /// <summary>The last of a row: what it gives are numbers again.</summary>
    /// <inheritdoc cref="ToBytes"/>
    /// <param name="kernel"/>
    /// <param name="weight"/>
    /// <param name="bias"/>
    /// <param name="input"/>
    /// <param name="side"/>
    /// <param name="type">float32 or bfloat16.</param>
    public static Int8Convolution ToFloats(Int8Kernel kernel, Tensor weight, Tensor bias, double input, int side, ScalarType type) =>
        new(kernel, weight, bias, input, output: 1, side, padding: 1, type);

    /// <summary>The first: pixels need no rounding. Their mean is inside the bias, so the margin must be there and have the mean's colour.</summary>
    /// <param name="kernel">What computes it; stays the caller's.</param>
    /// <param name="weight">(out, 3, 3, 3) for (pixel - mean) / deviation.</param>
    /// <param name="bias">(out).</param>
    /// <param name="mean">(3), in units of a pixel's byte.</param>
    /// <param name="deviation">(3), likewise.</param>
    /// <param name="output">What a 1 of the output stands for.</param>
    /// <param name="side">Height and width of the photos, without the margin.</param>
    /// <returns>Takes <see cref="PixelChannels"/>.</returns>
    public static Int8Convolution OfPixels(Int8Kernel kernel, Tensor weight, Tensor bias, Tensor mean, Tensor deviation, double output, int side)
    {
        var all = zeros(weight.shape[0], PixelChannels, 3, 3);
        all.narrow(1, 0, 3).copy_(weight.to(ScalarType.Float32).div(deviation.view(1, 3, 1, 1)));
        return new(kernel, all, bias, input: 1, output, side + 2, padding: 0, floats: null, cat([mean, zeros(PixelChannels - 3)]));
    }

    public void Own()
    {
        foreach (var tensor in new[] { _weight, _factors, _zeros, _bias })
            tensor.DetachFromDisposeScope();
    }

    /// <summary>(N, in, side, side) uint8 → (N, out, side, side) uint8 or floats.</summary>
    public Tensor Apply(Tensor x) => _floats is { } type
        ? _kernel.Floats(x, _weight, _factors, _zeros, _bias, _padding, type)
        : _kernel.Bytes(x, _weight, _factors, _zeros, _bias, _padding);

    /// <summary>2×2 max pooling of bytes, which libtorch's own does not take; from its operators, a tenth as fast.</summary>
    /// <param name="x">(N, C, H, W) uint8, channels_last; C a multiple of 64.</param>
    /// <returns>(N, C, H/2, W/2), channels_last.</returns>
    public static unsafe Tensor MaxPool(Tensor x)
    {
        using var source = x.permute(0, 2, 3, 1);                                       // (N, H, W, C), contiguous
        var (rows, columns, channels) = ((int)(source.shape[0] * source.shape[1] / 2), (int)source.shape[2] / 2, (int)source.shape[3]);
        using var target = empty(source.shape[0], source.shape[1] / 2, columns, channels, ScalarType.Byte);
        fixed (byte* from = source.bytes, to = target.bytes)
        {
            for (int cell = 0; cell < rows * columns; cell++)
            {
                byte* a = from + ((long)(cell / columns) * 4 * columns + 2 * (cell % columns)) * channels, b = a + (long)2 * columns * channels;
                byte* y = to + (long)cell * channels;
                for (int c = 0; c < channels; c += Vector<byte>.Count)
                    Vector.Max(Vector.Max(Vector.Load(a + c), Vector.Load(a + channels + c)), Vector.Max(Vector.Load(b + c), Vector.Load(b + channels + c))).Store(y + c);
            }
        }
        return target.permute(0, 3, 1, 2);
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { _weight, _factors, _zeros, _bias })
            tensor.Dispose();
    }
}
