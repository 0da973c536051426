using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// One 3×3 convolution with its ReLU on bytes. A byte of an activation stands for itself times its channel's scale, a byte of a
/// weight for itself times its output channel's step. The input's scales are multiplied into the weights before these are
/// rounded, step and output's scale into one factor for each output channel.
/// </summary>
internal sealed class Int8Convolution : IConvolution
{
    /// <summary>Channels of pixels: red, green and blue, <see cref="Copies"/> times, and one of 0. The kernel is wrong with fewer than 16.</summary>
    public const int PixelChannels = 16;

    /// <summary>A pixel's weights are whole numbers up to this many times the largest byte, spread over as many copies: what the first layer
    /// rounds, all others see.</summary>
    private const int Copies = 5;

    private static readonly Vector128<byte> s_copies = Vector128.Create((byte)0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3);

    private readonly Int8Kernel _kernel;
    private readonly Tensor _weight, _factors, _zeros, _bias;
    private readonly int _padding;
    private readonly ScalarType? _floats;       // null: gives bytes

    private Int8Convolution(Int8Kernel kernel, Tensor weight, Tensor bias, float[]? output, int side, ScalarType? floats, Tensor? mean = null)
    {
        (_kernel, _padding, _floats) = (kernel, mean is null ? 1 : 0, floats);
        int copies = mean is null ? 1 : Copies, most = copies * kernel.MaxWeight;
        var step = maximum(weight.abs().amax([1, 2, 3]), ones(1).times(1e-12)).times(1.0 / most);     // (out)
        var whole = Rounded(weight.div(step.view(-1, 1, 1, 1)), most);
        var b = bias.to(ScalarType.Float32);
        if (mean is not null)                   // of the weights as they are now, so that a grey photo's sums are right
            b = b.sub(whole.sum([2, 3]).mul(mean).sum([1]).mul(step));
        var scale = output is null ? ones(step.shape[0]) : tensor(output);
        _factors = step.div(scale);
        _zeros = zeros(step.shape[0], ScalarType.Int32);
        _bias = b.div(scale);
        _weight = kernel.Pack((copies == 1 ? whole : Spread(whole)).to(ScalarType.Int8), _factors, mean is null ? side : side + 2, _padding);
    }

    /// <param name="kernel">What computes it; stays the caller's.</param>
    /// <param name="weight">(out, in, 3, 3), of any float type; stays the caller's.</param>
    /// <param name="bias">(out).</param>
    /// <param name="input">What a 1 of each channel of the input stands for.</param>
    /// <param name="output">What a 1 of each channel of the output stands for.</param>
    /// <param name="side">Height and width of the maps it is meant for.</param>
    public static Int8Convolution ToBytes(Int8Kernel kernel, Tensor weight, Tensor bias, float[] input, float[] output, int side) =>
        new(kernel, Scaled(weight, input), bias, output, side, floats: null);

    /// <summary>The last of a row: what it gives are numbers again.</summary>
    /// <inheritdoc cref="ToBytes"/>
    /// <param name="kernel"/>
    /// <param name="weight"/>
    /// <param name="bias"/>
    /// <param name="input"/>
    /// <param name="side"/>
    /// <param name="type">float32 or bfloat16.</param>
    public static Int8Convolution ToFloats(Int8Kernel kernel, Tensor weight, Tensor bias, float[] input, int side, ScalarType type) =>
        new(kernel, Scaled(weight, input), bias, output: null, side, type);

    /// <summary>The first: pixels need no rounding. Their mean is inside the bias, so the margin must be there and have the mean's colour.</summary>
    /// <param name="kernel">What computes it; stays the caller's.</param>
    /// <param name="weight">(out, 3, 3, 3) for (pixel - mean) / deviation.</param>
    /// <param name="bias">(out).</param>
    /// <param name="mean">(3), in units of a pixel's byte.</param>
    /// <param name="deviation">(3), likewise.</param>
    /// <param name="output">What a 1 of each channel of the output stands for.</param>
    /// <param name="side">Height and width of the photos, without the margin.</param>
    /// <returns>Takes what <see cref="Framed"/> gives.</returns>
    public static Int8Convolution OfPixels(Int8Kernel kernel, Tensor weight, Tensor bias, Tensor mean, Tensor deviation, float[] output, int side) =>
        new(kernel, weight.to(ScalarType.Float32).div(deviation.view(1, 3, 1, 1)), bias, output, side, floats: null, mean);

    private static Tensor Scaled(Tensor weight, float[] input) => weight.to(ScalarType.Float32).mul(tensor(input).view(1, -1, 1, 1));

    private static Tensor Rounded(Tensor weight, int most)
    {
        var whole = weight.contiguous().cpu();
        int outputs = (int)whole.shape[0], each = (int)(whole.NumberOfElements / outputs);
        var all = MemoryMarshal.Cast<byte, float>(whole.bytes).ToArray();
        Parallel.For(0, outputs, output => Int8Rounding.Round(all.AsSpan(output * each, each), most));
        return tensor(all).view(weight.shape);
    }

    // Copy j of q is the whole part of (q + j) / copies: together they are q.
    private static Tensor Spread(Tensor whole)
    {
        var copies = Enumerable.Range(0, Copies).Select(j => whole.plus(j).times(1.0 / Copies).plus(1e-4).floor());
        return cat([.. copies, zeros(whole.shape[0], PixelChannels - 3 * Copies, 3, 3)], 1);
    }

    /// <summary>(N, S, S, 3) uint8 → (N, 16, S + 2, S + 2) uint8, channels_last: each pixel's copies, with a margin, which is no 0 for bytes.</summary>
    /// <param name="pixels">Red, green, blue.</param>
    /// <param name="mean">The margin's: (3).</param>
    public static unsafe Tensor Framed(Tensor pixels, Tensor mean)
    {
        using var margin = cat([mean.repeat(Copies), zeros(PixelChannels - 3 * Copies)]).round().to(ScalarType.Byte);
        using var source = pixels.cpu().contiguous();
        int photos = (int)source.shape[0], side = (int)source.shape[1];
        var framed = margin.expand(photos, side + 2, side + 2, PixelChannels).contiguous();
        fixed (byte* from = source.bytes, to = framed.bytes)
        {
            for (int row = 0; row < photos * side; row++)
            {
                byte* x = from + (long)row * side * 3, y = to + ((long)(row / side * (side + 2) + row % side + 1) * (side + 2) + 1) * PixelChannels;
                for (int column = 0; column < side; column++, x += 3, y += PixelChannels)
                    Vector128.Shuffle(Vector128.CreateScalar((uint)(x[0] | x[1] << 8 | x[2] << 16)).AsByte(), s_copies).Store(y);
            }
        }
        return framed.permute(0, 3, 1, 2);
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
