using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;

namespace CaptionService.Benchmarks;

/// <summary>Photo to captions in one process, without HTTP: beam 5, as the published comparisons, and the default.</summary>
internal static class CaptionerBenchmark
{
    public static void Run()
    {
        Photo[] samples = Program.SamplePhotos();
        using var captioner = CaptionModel.Load(DefaultModels.EnglishFolder);
        foreach (var (beam, batch) in new[] { (5, 1), (5, 8), (10, 1), (10, 8) })
        {
            Photo[] photos = [.. Enumerable.Range(0, batch).Select(i => samples[i % samples.Length])];
            CaptionJob[] jobs = [.. photos.Select(photo => new CaptionJob(photo, new CaptionOptions { BeamWidth = beam, Count = 5 }, captioner))];
            var decode = new List<double>();
            double[] total = EncoderBenchmark.Repeat(15, () => decode.Add(Captioner.Caption(jobs).Decode.TotalMilliseconds));
            Program.Row($"photo to 5 captions, beam {beam}, batch {batch}",
                $"{EncoderBenchmark.Median(total) / batch:F1} ms a photo, {EncoderBenchmark.Median(decode) / batch:F1} of it decoder and search");
        }
    }
}
