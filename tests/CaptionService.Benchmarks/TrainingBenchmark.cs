using System.Globalization;
using System.IO.Compression;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using NetVips;

namespace CaptionService.Benchmarks;

/// <summary>What a training job costs those who caption meanwhile, and what they cost the job.</summary>
internal static class TrainingBenchmark
{
    private const double MostSlower = 2;
    private const int Photos = 192;

    /// <param name="requests">Of one client, in each state; of four clients, twice as many.</param>
    /// <param name="archive">A data set to train on; null: one made of the samples.</param>
    /// <returns>Whether the slowest requests are at most twice as slow.</returns>
    public static async Task<bool> RunAsync(int requests, string? archive)
    {
        string folder = Directory.CreateTempSubdirectory("captionservice-").FullName;
        try
        {
            using var service = await ServiceBenchmark.StartAsync(folder);
            HttpClient client = service.Client;
            await using Stream content = archive is null ? new MemoryStream(Archive()) : File.OpenRead(archive);
            string dataset = await AddDatasetAsync(client, new StreamContent(content), Path.GetFileName(archive) ?? "samples.zip");
            await ServiceBenchmark.LoadAsync(client, 4, 24);        // warm
            double[][] idle = await MeasureAsync(client, "idle", requests);

            // The full network, and an end so far away that it does not come.
            using HttpResponseMessage created = await client.PostAsJsonAsync(new Uri("/training-jobs", UriKind.Relative), new JsonObject
            {
                ["dataset"] = dataset,
                ["preset"] = "best",
                ["name"] = "benchmark",
                ["options"] = new JsonObject { ["epochs"] = 1000, ["patience"] = 1000, ["mirror"] = false, ["minWordCount"] = 1 },
            });
            string job = $"/training-jobs/{(await Body(created))["id"]}";
            while (!(await StageAsync(client, job)).StartsWith("epoch", StringComparison.Ordinal))
                await Task.Delay(500);
            await Task.Delay(TimeSpan.FromSeconds(20));
            Program.Row("training alone", await RateAsync(client, job));
            double[][] busy = await MeasureAsync(client, "while a job trains", requests);
            string stage = await StageAsync(client, job);
            if (!stage.StartsWith("epoch", StringComparison.Ordinal))
                throw new InvalidOperationException($"The job did not train all the while: it is at '{stage}'.");
            Program.Row("training, under the load", await RateAsync(client, job));

            double[] slower = [.. idle.Zip(busy, (before, during) => ServiceBenchmark.At(during, 0.99) / ServiceBenchmark.At(before, 0.99))];
            Program.Row($"p99 while a job trains, of that when idle, 1 and 4 clients (limit {MostSlower})", string.Join(", ", slower.Select(ratio => ratio.ToString("F2", CultureInfo.InvariantCulture))));
            using HttpResponseMessage cancelled = await client.PostAsync(new Uri(job + "/cancel", UriKind.Relative), null);
            while ((string?)(await GetAsync(client, job))["state"] is "running" or "cancelling")
                await Task.Delay(100);
            return slower.Max() <= MostSlower;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Uploads a data set and waits until jobs can train on it.</summary>
    /// <returns>Its id.</returns>
    public static async Task<string> AddDatasetAsync(HttpClient client, HttpContent archive, string name)
    {
        using var form = new MultipartFormDataContent { { archive, "archive", name } };
        using HttpResponseMessage added = await client.PostAsync(new Uri("/datasets", UriKind.Relative), form);
        string id = (string)(await Body(added))["id"]!;
        JsonNode dataset;
        while ((string?)(dataset = await GetAsync(client, $"/datasets/{id}"))["status"] == "checking")
            await Task.Delay(200);
        return (string?)dataset["status"] == "ready" ? id : throw new InvalidOperationException(dataset.ToJsonString());
    }

    private static async Task<double[][]> MeasureAsync(HttpClient client, string when, int requests)
    {
        var all = new List<double[]>();
        foreach (int clients in new[] { 1, 4 })
        {
            var (rate, latencies) = await ServiceBenchmark.LoadAsync(client, clients, clients == 1 ? requests : 2 * requests);
            Program.Row($"service {when}, {clients} client{(clients == 1 ? "" : "s")}, 5 captions, beam 5",
                $"{rate:F1} photos/s, p50 {ServiceBenchmark.At(latencies, 0.5):F0} ms, p99 {ServiceBenchmark.At(latencies, 0.99):F0} ms");
            all.Add(latencies);
        }
        return [.. all];
    }

    private static async Task<string> StageAsync(HttpClient client, string job)
    {
        JsonNode body = await GetAsync(client, job);
        return (string?)body["state"] is "validating" or "queued" or "running" ? (string?)body["progress"]?["stage"] ?? "" : throw new InvalidOperationException(body.ToJsonString());
    }

    private static async Task<string> RateAsync(HttpClient client, string job)
    {
        JsonNode? last = (await GetAsync(client, job + "/metrics"))["steps"]!.AsArray().LastOrDefault(step => step!["stepsPerSecond"] is not null);
        return last is null ? "no figure yet" : $"{(double)last["stepsPerSecond"]!:F2} steps/s";
    }

    private static async Task<JsonNode> GetAsync(HttpClient client, string path)
    {
        using HttpResponseMessage response = await client.GetAsync(new Uri(path, UriKind.Relative));
        return await Body(response);
    }

    private static async Task<JsonNode> Body(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode ? JsonNode.Parse(text)! : throw new HttpRequestException($"{(int)response.StatusCode}: {text}");
    }

    /// <summary>A zip of parts of the samples, five captions each.</summary>
    private static byte[] Archive()
    {
        var random = new Random(1);
        var captions = new StringBuilder();
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            string[] samples = Program.SampleFiles();
            for (int i = 0; i < Photos; i++)
            {
                string sample = samples[i % samples.Length], name = $"{Path.GetFileNameWithoutExtension(sample)}-{i}.jpg";
                using Image photo = Image.NewFromFile(sample);
                int width = photo.Width / random.Next(2, 5), height = photo.Height / random.Next(2, 5);
                using Image part = photo.Crop(random.Next(photo.Width - width), random.Next(photo.Height - height), width, height);
                using (Stream entry = zip.CreateEntry(name, CompressionLevel.NoCompression).Open())
                    entry.Write(part.JpegsaveBuffer());
                for (int caption = 0; caption < 5; caption++)
                    captions.Append(CultureInfo.InvariantCulture, $"{name}#{caption}\tA part of the {Path.GetFileNameWithoutExtension(sample)} that is {width} wide and {height} high, number {caption} of {i}.\n");
            }
            using Stream tokens = zip.CreateEntry("captions.token.txt").Open();
            tokens.Write(Encoding.UTF8.GetBytes(captions.ToString()));
        }
        return stream.ToArray();
    }
}
