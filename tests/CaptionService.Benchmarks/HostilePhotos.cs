using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using CaptionService.Tests;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>Files that mean harm, sent to the service: what comes back, how long it takes, how much memory it needs.</summary>
internal static class HostilePhotos
{
    private const int Clients = 3;
    private const long MostMiB = 300;
    private const int Captioned = 20;       // one in so many is captioned, which costs ten times what decoding does

    // What may be said of a photo.
    private static readonly HashSet<HttpStatusCode> s_documented =
        [HttpStatusCode.OK, HttpStatusCode.BadRequest, HttpStatusCode.RequestEntityTooLarge, HttpStatusCode.UnsupportedMediaType, HttpStatusCode.UnprocessableEntity];

    private static readonly (string Name, Func<Image, byte[]> Save)[] s_formats =
    [
        ("JPEG", image => image.JpegsaveBuffer()), ("progressive JPEG", image => image.JpegsaveBuffer(interlace: true)),
        ("PNG", image => image.PngsaveBuffer()), ("interlaced PNG", image => image.PngsaveBuffer(interlace: true)),
        ("WebP", image => image.WebpsaveBuffer()), ("lossless WebP", image => image.WebpsaveBuffer(lossless: true)), ("GIF", image => image.GifsaveBuffer()),
    ];

    /// <summary>Whether the service lived through all of it, answered nothing that is not documented, and kept within its memory.</summary>
    /// <param name="mutations">Damaged copies of the samples in each format.</param>
    /// <param name="folder">A folder of more files; null for none.</param>
    public static async Task<bool> RunAsync(int mutations, string? folder)
    {
        using var service = await ServiceBenchmark.StartAsync(settings: ["--Feedback:Enabled", "true"]);
        Program.Row("resident memory, ready", $"{service.PeakMiB()} MiB");
        await ServiceBenchmark.LoadAsync(service.Client, Clients, 30);      // what the first requests take is not the photos' doing
        using var done = new CancellationTokenSource();
        Task<int> lives = CountLives(service.Client, done.Token);
        bool well = true;
        if (folder is not null)
        {
            string[] files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(file => new FileInfo(file).Length < 20_000_000)];
            well &= await SendAsync(service, $"files of {Path.GetFileName(folder.TrimEnd('/'))}", files.Length, i => File.ReadAllBytes(files[i]));
        }
        foreach ((string name, Func<Image, byte[]> save) in s_formats)
        {
            byte[][] originals = [.. Program.SampleFiles().Select(file =>
            {
                using Image photo = Image.Thumbnail(file, 160);
                return save(photo);
            })];
            byte[] Mutation(int i) => Mutations.Of(originals[i % originals.Length], [0, 1, 254, 255], new Random(20_261_128 + i));
            well &= await SendAsync(service, name, mutations, Mutation);
            if (name.Contains("PNG", StringComparison.Ordinal))       // its checksums keep most damage from the decoder, but not what somebody made on purpose
                well &= await SendAsync(service, $"{name}, checksums put right", mutations, i => WithChecksums(Mutation(i)));
        }
        await done.CancelAsync();
        Program.Row("meanwhile", $"{await lives} times asked whether it is live, and it was");
        return well;
    }

    private static async Task<bool> SendAsync(ServiceBenchmark.Service service, string what, int photos, Func<int, byte[]> photo)
    {
        var statuses = new ConcurrentDictionary<string, int>();
        bool documented = true;
        int crashes = 0;
        var latencies = new double[photos];
        int next = 0;
        service.ResetPeak();
        long before = service.PeakMiB();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(async () =>
        {
            for (int i; (i = Interlocked.Increment(ref next) - 1) < photos;)
            {
                using var body = new ByteArrayContent(photo(i));
                bool captioned = i % Captioned == 0;
                long sent = Stopwatch.GetTimestamp();
                using var response = captioned ? await service.Client.PostAsync(new Uri("/captions?beamWidth=1&count=1&maxLength=1", UriKind.Relative), body) : await DecodeAsync(service.Client, body);
                latencies[i] = Stopwatch.GetElapsedTime(sent).TotalMilliseconds;
                if ((await response.Content.ReadAsStringAsync()).Contains("ended its decoder", StringComparison.Ordinal))
                    Interlocked.Increment(ref crashes);
                documented &= s_documented.Contains(response.StatusCode);
                string status = !captioned && response.StatusCode == HttpStatusCode.BadRequest ? "decoded" : $"{(int)response.StatusCode}";
                statuses.AddOrUpdate(status, 1, (_, count) => count + 1);
                if (i % 1000 == 999)
                    await Console.Error.WriteLineAsync($"{what}: {i + 1}");
            }
        })));
        long most = service.PeakMiB() - before;
        Array.Sort(latencies);
        Program.Row($"{photos} × {what}", $"{string.Join(", ", statuses.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => $"{s.Value} × {s.Key}"))}; {crashes} decoders ended; median {ServiceBenchmark.At(latencies, 0.5):F0} ms, "
            + $"slowest {latencies[^1]:F0} ms, memory at most +{most} MiB ({Clients} at once)");
        return documented && most <= MostMiB;
    }

    // A correction whose digest is another photo's is refused with 400 when the photo has been decoded, and nothing is kept.
    private static async Task<HttpResponseMessage> DecodeAsync(HttpClient client, HttpContent photo)
    {
        using var form = new MultipartFormDataContent { { photo, "photo", "photo" }, { new StringContent("a caption"), "caption" }, { new StringContent(new string('0', 64)), "digest" } };
        return await client.PostAsync(new Uri("/feedback", UriKind.Relative), form);
    }

    // Of every chunk that is still whole: length, type, data, checksum.
    private static byte[] WithChecksums(byte[] png)
    {
        for (long at = 8; at + 12 <= png.Length;)
        {
            long end = at + 8 + BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan((int)at));
            if (end + 4 > png.Length)
                break;
            BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan((int)end), Crc32(png.AsSpan((int)at + 4, (int)(end - at - 4))));
            at = end + 4;
        }
        return png;
    }

    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte next in bytes)
        {
            crc ^= next;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1) * 0xEDB88320;
        }
        return ~crc;
    }

    // Ten times a second; the first time that it is not live, or takes over 5 s to say so, fails the run.
    private static async Task<int> CountLives(HttpClient client, CancellationToken done)
    {
        int lives = 0;
        for (; !done.IsCancellationRequested; lives++)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            using var live = await client.GetAsync(new Uri("/health/live", UriKind.Relative), limit.Token);
            live.EnsureSuccessStatusCode();
            await Task.Delay(100, CancellationToken.None);
        }
        return lives;
    }
}
