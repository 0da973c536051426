using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;

namespace CaptionService.Benchmarks;

/// <summary>Photo to captions in one process, without HTTP: beam 5, as the published comparisons.</summary>
internal static class CaptionerBenchmark
{
    public static void Run()
    {
        Photo[] samples = Program.SamplePhotos();
        using var captioner = Captioner.Load(Captioner.DefaultModelFolder);
        foreach (int batch in new[] { 1, 8 })
        {
            Photo[] photos = [.. Enumerable.Range(0, batch).Select(i => samples[i % samples.Length])];
            CaptionOptions[] options = [.. photos.Select(_ => new CaptionOptions { BeamWidth = 5, Count = 5 })];
            var decode = new List<double>();
            double[] total = EncoderBenchmark.Repeat(15, () => decode.Add(captioner.Caption(photos, options).Decode.TotalMilliseconds));
            Program.Row($"photo to 5 captions, beam 5, batch {batch}",
                $"{EncoderBenchmark.Median(total) / batch:F1} ms a photo, {EncoderBenchmark.Median(decode) / batch:F1} of it decoder and search");
        }
    }
}
