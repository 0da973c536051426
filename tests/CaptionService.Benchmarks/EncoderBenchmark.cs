using System.Diagnostics;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;

namespace CaptionService.Benchmarks;

/// <summary>The encoder alone, in each precision.</summary>
internal static class EncoderBenchmark
{
    public static void Run()
    {
        Photo[] samples = Program.SamplePhotos();
        Program.Row("fastest encoder precision here", EncoderPrecision.Of(EncoderPrecision.Auto, TorchRuntime.Device).ToString());
        foreach (var precision in new[] { EncoderPrecision.InBytes(TorchRuntime.Device), EncoderPrecision.BFloat16, EncoderPrecision.Float32 })
        {
            using var encoder = Vgg16.Load(DefaultModels.EncoderPath, TorchRuntime.Device, precision);
            foreach (int batch in new[] { 1, 4, 8 })
            {
                using var pixels = Vgg16.Pixels([.. Enumerable.Range(0, batch).Select(i => samples[i % samples.Length])]);
                double[] times = Repeat(batch == 1 ? 15 : 7, () => encoder.Forward(pixels).Dispose());
                Program.Row($"encoder, {precision}, batch {batch}", $"{Median(times) / batch:F1} ms a photo");
            }
        }
    }

    /// <summary>Milliseconds of each run, after two that are not counted.</summary>
    internal static double[] Repeat(int runs, Action action)
    {
        action();
        action();
        return [.. Enumerable.Range(0, runs).Select(_ =>
        {
            long start = Stopwatch.GetTimestamp();
            action();
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        })];
    }

    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
