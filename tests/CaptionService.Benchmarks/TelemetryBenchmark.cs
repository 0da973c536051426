using System.Net;
using System.Net.Sockets;

namespace CaptionService.Benchmarks;

/// <summary>
/// What telemetry costs: two services, one with OpenTelemetry off, one that sends traces and metrics by OTLP and is scraped each
/// second. They take turns at the same load, so that what else the machine does is in both; processor time a photo is the steadier figure.
/// </summary>
internal static class TelemetryBenchmark
{
    private const int Clients = 4;

    private sealed record Turn(double Rate, double CpuMsPerPhoto);

    /// <param name="rounds">Turns of each.</param>
    /// <param name="photos">Photos of a turn.</param>
    public static async Task RunAsync(int rounds, int photos)
    {
        string folder = Directory.CreateTempSubdirectory("captionservice-").FullName;
        using var sink = new HttpListener();
        string address = $"http://127.0.0.1:{FreePort()}";
        sink.Prefixes.Add(address + "/");
        sink.Start();
        int taken = 0;
        Task taking = TakeAsync(sink, () => taken++);
        try
        {
            using var without = await ServiceBenchmark.StartAsync(Path.Combine(folder, "without"), "--OTEL_SDK_DISABLED", "true");
            using var with = await ServiceBenchmark.StartAsync(Path.Combine(folder, "with"), "--OTEL_EXPORTER_OTLP_ENDPOINT", address,
                "--OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "--OTEL_METRIC_EXPORT_INTERVAL", "1000");
            foreach (var service in (ServiceBenchmark.Service[])[without, with])
                await ServiceBenchmark.LoadAsync(service.Client, Clients, 48);      // warm
            var off = new List<Turn>();
            var on = new List<Turn>();
            for (int round = 0; round < rounds; round++)
            {
                // Off, on, on, off, …: neither is always the second.
                if (round % 2 == 0)
                    off.Add(await TurnAsync(without, photos, scraped: false));
                on.Add(await TurnAsync(with, photos, scraped: true));
                if (round % 2 == 1)
                    off.Add(await TurnAsync(without, photos, scraped: false));
            }
            Program.Row($"{rounds} turns of {photos} photos each, {Clients} clients: photos/s without telemetry, with it",
                $"{off.Average(turn => turn.Rate):F2}, {on.Average(turn => turn.Rate):F2}");
            Program.Row("processor time a photo without telemetry, with it",
                $"{off.Average(turn => turn.CpuMsPerPhoto):F1} ms, {on.Average(turn => turn.CpuMsPerPhoto):F1} ms");
            Program.Row("with / without: photos/s", Ratio(on.Zip(off, (w, o) => w.Rate / o.Rate)));
            Program.Row("with / without: processor time a photo", Ratio(on.Zip(off, (w, o) => w.CpuMsPerPhoto / o.CpuMsPerPhoto)));
            Program.Row("messages that the collector took", $"{taken}");
        }
        finally
        {
            sink.Stop();
            await taking;
            Directory.Delete(folder, recursive: true);
        }
    }

    // The mean of the ratios' logarithms, with twice its standard error.
    private static string Ratio(IEnumerable<double> ratios)
    {
        double[] logs = [.. ratios.Select(ratio => Math.Log(ratio))];
        double mean = logs.Average(), error = Math.Sqrt(logs.Sum(log => (log - mean) * (log - mean)) / (logs.Length - 1) / logs.Length);
        return $"{Math.Exp(mean):F4} (95 % between {Math.Exp(mean - 2 * error):F4} and {Math.Exp(mean + 2 * error):F4})";
    }

    private static async Task<Turn> TurnAsync(ServiceBenchmark.Service service, int photos, bool scraped)
    {
        using var end = new CancellationTokenSource();
        TimeSpan before = service.ProcessorTime();
        Task scraping = scraped ? ScrapeAsync(service.Client, end.Token) : Task.CompletedTask;
        (double rate, _) = await ServiceBenchmark.LoadAsync(service.Client, Clients, photos);
        await end.CancelAsync();
        await scraping;
        return new Turn(rate, (service.ProcessorTime() - before).TotalMilliseconds / photos);
    }

    private static async Task ScrapeAsync(HttpClient client, CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            await client.GetStringAsync(new Uri("/metrics", UriKind.Relative), CancellationToken.None);
            await Task.WhenAny(Task.Delay(1000, end));
        }
    }

    private static async Task TakeAsync(HttpListener sink, Action took)
    {
        while (true)
        {
            HttpListenerContext message;
            try
            {
                message = await sink.GetContextAsync();
            }
            catch (Exception) when (!sink.IsListening)
            {
                return;
            }
            await message.Request.InputStream.CopyToAsync(Stream.Null);
            message.Response.ContentType = "application/x-protobuf";
            message.Response.Close();
            took();
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
