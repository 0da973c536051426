using System.Collections.Concurrent;
using System.Diagnostics;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>Number format and memory layout of the encoder's convolutions.</summary>
/// <param name="Type">float32 or bfloat16; with <paramref name="Int8"/>, the type of the last block and its features.</param>
/// <param name="ChannelsLast">NHWC in memory instead of NCHW.</param>
/// <param name="Int8">Whether activations and weights up to pool4 are bytes (<see cref="Int8Convolution"/>).</param>
public sealed record EncoderPrecision(ScalarType Type, bool ChannelsLast, bool Int8 = false)
{
    /// <summary>What <see cref="Of"/> takes.</summary>
    public const string Auto = "auto", Fp32 = "float32", Bf16 = "bfloat16", InInt8 = "int8";

    /// <summary>
    /// int8 must be so much faster than the fastest float, by the measurement, to be chosen: it is a little less exact.
    /// </summary>
    private const double Int8Gain = 1.25;

    private static readonly ConcurrentDictionary<string, (EncoderPrecision Precision, double Time)> s_fastest = [];
    private static readonly ConcurrentDictionary<string, bool> s_int8Pays = [];

    /// <summary>float32, NHWC: the reference, on every processor.</summary>
    public static EncoderPrecision Float32 { get; } = new(ScalarType.Float32, true);

    /// <summary>bfloat16, NHWC.</summary>
    public static EncoderPrecision BFloat16 { get; } = new(ScalarType.BFloat16, true);

    /// <summary>
    /// The fastest float on this machine, found by running two of the trunk's convolutions in each:
    /// bfloat16 is twice as fast as float32 on a CPU with avx512_bf16 and eight times slower on one without,
    /// so no list of processors is trusted. Takes about 0.1 s, once for each device: every encoder of a process runs alike.
    /// </summary>
    public static EncoderPrecision Fastest(Device device) => Floats(device).Precision;

    /// <summary>int8, with features in the fastest float.</summary>
    public static EncoderPrecision InBytes(Device device) => Fastest(device) with { ChannelsLast = true, Int8 = true };

    /// <summary>What a choice means on this machine.</summary>
    /// <param name="choice"><see cref="Auto"/>: the fastest, int8 included; or one that is forced.</param>
    /// <param name="device">Where the encoder runs.</param>
    public static EncoderPrecision Of(string choice, Device device) => choice switch
    {
        Auto => Int8Pays(device) ? InBytes(device) : Fastest(device),
        Fp32 => Float32,
        Bf16 => BFloat16,
        InInt8 => InBytes(device),
        _ => throw new ArgumentOutOfRangeException(nameof(choice), choice, $"It must be {Auto}, {Fp32}, {Bf16} or {InInt8}."),
    };

    /// <summary>float32, bfloat16 or int8.</summary>
    public string Name => Int8 ? InInt8 : Type == ScalarType.BFloat16 ? Bf16 : Fp32;

    /// <inheritdoc/>
    public override string ToString() =>
        Int8 ? $"int8, last block {(this with { Int8 = false }).Name}" : Name + (ChannelsLast ? " channels_last" : "");

    /// <summary>The tensor in this precision and layout; the caller's own is left as it is.</summary>
    internal Tensor Lay(Tensor x)
    {
        using var cast = x.to(Type);
        return ChannelsLast ? cast.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) : cast.contiguous();
    }

    private static (EncoderPrecision Precision, double Time) Floats(Device device) => s_fastest.GetOrAdd(device.ToString(), _ =>
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var (x, w) = Sample(device);
        EncoderPrecision[] candidates = [BFloat16, Float32, new(ScalarType.Float32, false)];
        return candidates.Select(c => (c, Time: c.Measure(x, w, device))).MinBy(c => c.Time);
    });

    private static bool Int8Pays(Device device) => s_int8Pays.GetOrAdd(device.ToString(), _ =>
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        using var kernel = Int8Kernel.TryLoad(device);
        if (kernel is null)
            return false;
        var (x, w) = Sample(device);
        float[] ones = [.. Enumerable.Repeat(1f, 256)];
        using var layer = Int8Convolution.ToBytes(kernel, w, zeros(256), ones, ones, side: 28);
        var bytes = Float32.Lay(x).times(255).to(ScalarType.Byte);
        return Best(device, () => layer.Apply(layer.Apply(bytes))) * Int8Gain < Floats(device).Time;
    });

    // A middle layer of the trunk: (N, in, side, side) and (out, in, 3, 3).
    private static (Tensor X, Tensor W) Sample(Device device) => (rand(2, 256, 28, 28, device: device), rand(256, 256, 3, 3, device: device));

    private double Measure(Tensor x, Tensor w, Device device)
    {
        var (input, weight) = (Lay(x), Lay(w));
        return Best(device, () => nn.functional.conv2d(nn.functional.conv2d(input, weight, null, padding: [1L, 1L]), weight, null, padding: [1L, 1L]));
    }

    /// <summary>Milliseconds of the fastest of some runs.</summary>
    private static double Best(Device device, Func<Tensor> action)
    {
        double best = double.MaxValue;
        for (int run = 0; run < 4; run++)        // the first makes the kernels
        {
            long start = Stopwatch.GetTimestamp();
            action();
            if (device.type == DeviceType.CUDA)
                cuda.synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        return best;
    }
}
