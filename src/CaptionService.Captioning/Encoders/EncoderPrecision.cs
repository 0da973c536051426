using System.Collections.Concurrent;
using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>Number format and memory layout of the encoder's convolutions.</summary>
/// <param name="Type">float32 or bfloat16.</param>
/// <param name="ChannelsLast">NHWC in memory instead of NCHW.</param>
public sealed record EncoderPrecision(ScalarType Type, bool ChannelsLast)
{
    private static readonly ConcurrentDictionary<string, EncoderPrecision> s_fastest = [];

    /// <summary>float32, NHWC: the reference, on every processor.</summary>
    public static EncoderPrecision Float32 { get; } = new(ScalarType.Float32, true);

    /// <summary>bfloat16, NHWC.</summary>
    public static EncoderPrecision BFloat16 { get; } = new(ScalarType.BFloat16, true);

    /// <summary>
    /// The fastest on this machine, found by running two of the trunk's convolutions in each:
    /// bfloat16 is twice as fast as float32 on a CPU with avx512_bf16 and eight times slower on one without,
    /// so no list of processors is trusted. Takes about 0.1 s, once for each device: every encoder of a process runs alike.
    /// </summary>
    public static EncoderPrecision Fastest(Device device) => s_fastest.GetOrAdd(device.ToString(), _ =>
    {
        EncoderPrecision[] candidates = [BFloat16, Float32, new(ScalarType.Float32, false)];
        return candidates.MinBy(c => Measure(c, device))!;
    });

    /// <inheritdoc/>
    public override string ToString() =>
        (Type == ScalarType.BFloat16 ? "bf16" : "fp32") + (ChannelsLast ? " channels_last" : "");

    /// <summary>The tensor in this precision and layout; the caller's own is left as it is.</summary>
    internal Tensor Lay(Tensor x)
    {
        using var cast = x.to(Type);
        return ChannelsLast ? cast.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) : cast.contiguous();
    }

    private static double Measure(EncoderPrecision precision, Device device)
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var x = precision.Lay(rand(2, 256, 28, 28, device: device));
        var w = precision.Lay(rand(256, 256, 3, 3, device: device));
        double best = double.MaxValue;
        for (int run = 0; run < 4; run++)        // the first makes the kernels
        {
            long start = Stopwatch.GetTimestamp();
            using var y = nn.functional.conv2d(x, w, null, padding: [1L, 1L]);
            using var z = nn.functional.conv2d(y, w, null, padding: [1L, 1L]);
            if (device.type == DeviceType.CUDA)
                cuda.synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        return best;
    }
}
