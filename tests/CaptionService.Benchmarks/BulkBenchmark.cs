using System.Diagnostics;
using System.IO.Compression;
using System.Text.Json.Nodes;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>A job of many photos: its rate, alone and under the load of requests, and what it costs those.</summary>
internal static class BulkBenchmark
{
    private const double MostSlower = 1.3;
    private const int Rounds = 4;

    private static readonly (string Name, int Clients, int PauseMs)[] s_loads = [("1 client", 1, 0), ("1 client with pauses", 1, 400), ("4 clients", 4, 0)];

    /// <param name="photos">Photos of the job.</param>
    /// <param name="requests">Of each load, in each state.</param>
    /// <param name="whole">Whether the job runs to its end.</param>
    /// <returns>Whether the slowest requests are at most 1.3 times as slow while a job runs.</returns>
    public static async Task<bool> RunAsync(int photos, int requests, bool whole)
    {
        string folder = Directory.CreateTempSubdirectory("captionservice-").FullName;
        try
        {
            using var service = await ServiceBenchmark.StartAsync(folder);
            HttpClient client = service.Client;
            long start = Stopwatch.GetTimestamp();
            using var form = new MultipartFormDataContent { { new ByteArrayContent(Archive(photos)), "archive", "photos.zip" } };
            string job = $"/caption-jobs/{(await SendAsync(client, HttpMethod.Post, "/caption-jobs?count=5&beamWidth=5", form))["id"]}";
            Program.Row($"a job of {photos} photos taken in", $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
            await ServiceBenchmark.LoadAsync(client, 4, 24);        // warm
            // In turns, so that what else the machine does meanwhile is in both.
            var idle = s_loads.ToDictionary(load => load.Name, _ => new List<double>());
            var busy = s_loads.ToDictionary(load => load.Name, _ => new List<double>());
            var rates = new List<double>();
            for (int round = 0; round < Rounds && requests > 0; round++)
            {
                await SendAsync(client, HttpMethod.Post, job + "/cancel");
                while ((string?)(await SendAsync(client, HttpMethod.Get, job))["state"] == "cancelling")
                    await Task.Delay(20);
                await MeasureAsync(client, idle, requests / Rounds);
                await SendAsync(client, HttpMethod.Post, job + "/resume");
                while ((string?)(await SendAsync(client, HttpMethod.Get, job))["state"] != "running")
                    await Task.Delay(20);
                await MeasureAsync(client, busy, requests / Rounds);
                rates.Add(await RateAsync(client, job, TimeSpan.FromSeconds(5)));
            }
            bool good = true;
            foreach ((string name, _, _) in s_loads.Where(_ => requests > 0))
            {
                double[] before = [.. idle[name].Order()], during = [.. busy[name].Order()];
                double ratio = ServiceBenchmark.At(during, 0.99) / ServiceBenchmark.At(before, 0.99);
                good &= ratio <= MostSlower;
                Program.Row($"{name}, 5 captions, beam 5: p50, p95, p99 without a job; with one", $"{Quantiles(before)}; {Quantiles(during)}; p99 × {ratio:F2} (limit {MostSlower})");
            }
            if (rates.Count > 0)
                Program.Row("the job alone, 5 s at a time", $"{rates.Average():F1} photos/s");
            if (whole)
            {
                JsonNode last;
                while ((string?)(last = await SendAsync(client, HttpMethod.Get, job))["state"] is "queued" or "running")
                    await Task.Delay(500);
                int results = (await client.GetStringAsync(new Uri(job + "/results?format=jsonl", UriKind.Relative))).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length;
                Program.Row("the whole job", $"{last["state"]}, {results} results, {last["problems"]} problems, {last["photosPerSecond"]} photos/s since the last resume");
                good &= (string?)last["state"] == "succeeded" && results == photos;
            }
            Program.Row("resident memory, afterwards", $"{service.ResidentMiB()} MiB");
            return good;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Quantiles(double[] sorted) => string.Join(", ", new[] { 0.5, 0.95, 0.99 }.Select(quantile => $"{ServiceBenchmark.At(sorted, quantile):F0}")) + " ms";

    private static async Task MeasureAsync(HttpClient client, Dictionary<string, List<double>> latencies, int requests)
    {
        foreach ((string name, int clients, int pause) in s_loads)
            latencies[name].AddRange((await ServiceBenchmark.LoadAsync(client, clients, pause > 0 ? requests / 2 : requests, pause)).SortedMs);
    }

    private static async Task<double> RateAsync(HttpClient client, string job, TimeSpan time)
    {
        int before = (int)(await SendAsync(client, HttpMethod.Get, job))["done"]!;
        await Task.Delay(time);
        return ((int)(await SendAsync(client, HttpMethod.Get, job))["done"]! - before) / time.TotalSeconds;
    }

    private static async Task<JsonNode> SendAsync(HttpClient client, HttpMethod method, string path, HttpContent? content = null)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative)) { Content = content };
        using HttpResponseMessage response = await client.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode ? JsonNode.Parse(text)! : throw new HttpRequestException($"{(int)response.StatusCode}: {text}");
    }

    /// <summary>A zip of the samples over and over, 256 pixels wide.</summary>
    private static byte[] Archive(int photos)
    {
        byte[][] small = [.. Program.SampleFiles().Select(file =>
        {
            using Image image = Image.Thumbnail(file, 256);
            return image.JpegsaveBuffer();
        })];
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            for (int i = 0; i < photos; i++)
            {
                using Stream entry = zip.CreateEntry($"{i / 1000}/{i:D5}.jpg", CompressionLevel.NoCompression).Open();
                entry.Write(small[i % small.Length]);
            }
        }
        return stream.ToArray();
    }
}
