using System.Diagnostics;
using System.Globalization;
using CaptionService.Captioning.Encoders;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>What it costs to decode a photo in another process.</summary>
internal static class DecoderBenchmark
{
    /// <summary>Decodes the samples here and there by turns, as they are and as a telephone takes them.</summary>
    /// <param name="rounds">How often each.</param>
    public static void Run(int rounds)
    {
        byte[][] samples = [.. Program.SampleFiles().Select(File.ReadAllBytes)];
        using Image large = Image.Thumbnail(Program.SampleFiles()[0], 4032, height: 3024, size: Enums.Size.Force);
        long started = Stopwatch.GetTimestamp();
        using var other = Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), "decode"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        Photo There(byte[] photo) => PhotoPipe.Ask(other.StandardInput.BaseStream, other.StandardOutput.BaseStream, photo);
        There(samples[0]);
        Program.Row("start of a decoder, with its first photo", $"{Stopwatch.GetElapsedTime(started).TotalMilliseconds:F0} ms");
        Measure($"the {samples.Length} samples", samples, rounds, There);
        Measure("a JPEG of 12 megapixels", [large.JpegsaveBuffer()], rounds, There);
        string peak = File.ReadLines($"/proc/{other.Id}/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2];
        Program.Row("resident memory of the decoder, at most", $"{int.Parse(peak, CultureInfo.InvariantCulture) >> 10} MiB");
        other.StandardInput.Close();
        other.WaitForExit();
    }

    private static void Measure(string what, byte[][] photos, int rounds, Func<byte[], Photo> there)
    {
        var times = (Here: new List<double>(), There: new List<double>());
        for (int i = -photos.Length; i < rounds * photos.Length; i++)      // one round to warm up
        {
            byte[] photo = photos[(i + photos.Length) % photos.Length];
            long start = Stopwatch.GetTimestamp();
            Photo here = Photo.Decode(photo);
            double first = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            start = Stopwatch.GetTimestamp();
            Photo same = there(photo);
            double second = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (!here.Pixels.Span.SequenceEqual(same.Pixels.Span))
                throw new InvalidOperationException("Another process reads other pixels.");
            if (i < 0)
                continue;
            times.Here.Add(first);
            times.There.Add(second);
        }
        double[] sortedHere = [.. times.Here.Order()], sortedThere = [.. times.There.Order()];
        Program.Row($"{what}, in this process / in another", $"median {ServiceBenchmark.At(sortedHere, 0.5):F1} / {ServiceBenchmark.At(sortedThere, 0.5):F1} ms, mean {sortedHere.Average():F1} / {sortedThere.Average():F1} ms");
    }
}
