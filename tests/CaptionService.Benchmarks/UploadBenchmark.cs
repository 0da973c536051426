using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Text;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>The server's memory while a large archive is taken in: it goes to the disk as it comes.</summary>
internal static class UploadBenchmark
{
    public static async Task RunAsync(int megabytes)
    {
        string folder = Directory.CreateTempSubdirectory("captionservice-").FullName;
        try
        {
            using var service = await ServiceBenchmark.StartAsync(folder);
            using var client = new HttpClient { BaseAddress = service.Client.BaseAddress, Timeout = TimeSpan.FromHours(1) };
            long before = service.ResidentMiB(), most = before;
            Program.Row("resident memory, ready", $"{before} MiB");
            using var archive = new NoisePhotos(megabytes);
            using var until = new CancellationTokenSource();
            Task watch = Task.Run(async () =>
            {
                while (!until.IsCancellationRequested)
                {
                    most = Math.Max(most, service.ResidentMiB());
                    await Task.Delay(50);
                }
            });
            long start = Stopwatch.GetTimestamp();
            await TrainingBenchmark.AddDatasetAsync(client, archive, "noise.zip");
            TimeSpan took = Stopwatch.GetElapsedTime(start);
            await until.CancelAsync();
            await watch;
            Program.Row("archive", $"{archive.Sent / 1e6:F0} MB, {archive.Photos} photos, made and sent in {archive.Took.TotalSeconds:F0} s; answered and looked through after {took.TotalSeconds:F0} s");
            Program.Row("resident memory, most", $"{most} MiB (+{most - before})");
            Program.Row("resident memory, afterwards", $"{service.ResidentMiB()} MiB");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A zip of photos of noise, which nothing makes smaller, with captions; made while it is sent.</summary>
    private sealed class NoisePhotos(int megabytes) : HttpContent
    {
        public long Sent { get; private set; }

        public int Photos { get; private set; }

        public TimeSpan Took { get; private set; }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            long start = Stopwatch.GetTimestamp();
            var captions = new StringBuilder();
            var random = new Random(1);
            byte[] pixels = new byte[1400 * 1000 * 3];
            await using (ZipArchive zip = await ZipArchive.CreateAsync(stream, ZipArchiveMode.Create, leaveOpen: true, entryNameEncoding: null))
            {
                for (; Sent < megabytes * 1_000_000L; Photos++)
                {
                    random.NextBytes(pixels);
                    using Image noise = Image.NewFromMemory(pixels, 1400, 1000, 3, Enums.BandFormat.Uchar);
                    await WriteAsync(zip, $"noise-{Photos}.png", noise.PngsaveBuffer(compression: 0));
                    captions.Append(CultureInfo.InvariantCulture, $"noise-{Photos}.png#0\tThe coloured noise of photo number {Photos}.\nnoise-{Photos}.png#1\tNothing can be seen in picture {Photos}.\n");
                }
                await WriteAsync(zip, "captions.token.txt", Encoding.UTF8.GetBytes(captions.ToString()));
            }
            Took = Stopwatch.GetElapsedTime(start);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;       // sent in chunks
        }

        private async Task WriteAsync(ZipArchive zip, string name, byte[] bytes)
        {
            await using Stream entry = await zip.CreateEntry(name, CompressionLevel.NoCompression).OpenAsync();
            await entry.WriteAsync(bytes);
            Sent += bytes.Length;
        }
    }
}
