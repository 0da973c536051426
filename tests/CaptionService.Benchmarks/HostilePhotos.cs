using System.Diagnostics;
using System.Net;
using CaptionService.Tests;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>Files that mean harm, sent to the service: what comes back, how long it takes, how much memory it needs.</summary>
internal static class HostilePhotos
{
    // What POST /captions may say of a photo.
    private static readonly HashSet<HttpStatusCode> s_documented =
        [HttpStatusCode.OK, HttpStatusCode.BadRequest, HttpStatusCode.RequestEntityTooLarge, HttpStatusCode.UnsupportedMediaType, HttpStatusCode.UnprocessableEntity];

    private static readonly (string Name, Func<Image, byte[]> Save)[] s_formats =
    [
        ("JPEG", image => image.JpegsaveBuffer()), ("progressive JPEG", image => image.JpegsaveBuffer(interlace: true)),
        ("PNG", image => image.PngsaveBuffer()), ("interlaced PNG", image => image.PngsaveBuffer(interlace: true)),
        ("WebP", image => image.WebpsaveBuffer()), ("lossless WebP", image => image.WebpsaveBuffer(lossless: true)), ("GIF", image => image.GifsaveBuffer()),
    ];

    /// <summary>Whether the service lived through all of it and answered nothing that is not documented.</summary>
    /// <param name="mutations">Damaged copies of the samples in each format.</param>
    /// <param name="folder">A folder of more files; null for none.</param>
    public static async Task<bool> RunAsync(int mutations, string? folder)
    {
        using var service = await ServiceBenchmark.StartAsync();
        long before = service.ResidentMiB();
        Program.Row("resident memory, ready", $"{before} MiB");
        bool well = true;
        if (folder is not null)
            well &= await SendAsync(service, $"files of {Path.GetFileName(folder.TrimEnd('/'))}", Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(f => new FileInfo(f).Length < 20_000_000).Select(File.ReadAllBytes));
        foreach ((string name, Func<Image, byte[]> save) in s_formats)
        {
            byte[][] originals = [.. Program.SampleFiles().Select(file =>
            {
                using Image photo = Image.Thumbnail(file, 160);
                return save(photo);
            })];
            var random = new Random(20_261_128);
            well &= await SendAsync(service, $"{mutations} mutations, {name}", Enumerable.Range(0, mutations).Select(i => Mutations.Of(originals[i % originals.Length], [0, 1, 254, 255], random)));
        }
        return well;
    }

    private static async Task<bool> SendAsync(ServiceBenchmark.Service service, string what, IEnumerable<byte[]> photos)
    {
        var statuses = new SortedDictionary<HttpStatusCode, int>();
        double slowest = 0;
        long before = service.ResidentMiB(), most = before;
        foreach (byte[] photo in photos)
        {
            long sent = Stopwatch.GetTimestamp();
            using var body = new ByteArrayContent(photo);
            using var response = await service.Client.PostAsync(new Uri("/captions?beamWidth=1&count=1&maxLength=1", UriKind.Relative), body);
            slowest = Math.Max(slowest, Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
            most = Math.Max(most, service.ResidentMiB());
            statuses[response.StatusCode] = statuses.GetValueOrDefault(response.StatusCode) + 1;
            using var live = await service.Client.GetAsync(new Uri("/health/live", UriKind.Relative));
            live.EnsureSuccessStatusCode();
        }
        Program.Row(what, $"{string.Join(", ", statuses.Select(s => $"{s.Value} × {(int)s.Key}"))}; slowest {slowest:F0} ms, memory at most +{most - before} MiB");
        return statuses.Keys.All(s_documented.Contains);
    }
}
