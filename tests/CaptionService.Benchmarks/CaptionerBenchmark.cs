using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;

namespace CaptionService.Benchmarks;

/// <summary>Photo to captions in one process, without HTTP: beam 5, as the published comparisons.</summary>
internal static class CaptionerBenchmark
{
    public static void Run()
    {
        Photo[] samples = Program.SamplePhotos();
        using var captioner = CaptionModel.Load(DefaultModels.EnglishFolder);
        foreach (int batch in new[] { 1, 8 })
        {
            Photo[] photos = [.. Enumerable.Range(0, batch).Select(i => samples[i % samples.Length])];
            CaptionJob[] jobs = [.. photos.Select(photo => new CaptionJob(photo, new CaptionOptions { BeamWidth = 5, Count = 5 }, captioner))];
            var decode = new List<double>();
            double[] total = EncoderBenchmark.Repeat(15, () => decode.Add(Captioner.Caption(jobs).Decode.TotalMilliseconds));
            Program.Row($"photo to 5 captions, beam 5, batch {batch}",
                $"{EncoderBenchmark.Median(total) / batch:F1} ms a photo, {EncoderBenchmark.Median(decode) / batch:F1} of it decoder and search");
        }
    }
}
