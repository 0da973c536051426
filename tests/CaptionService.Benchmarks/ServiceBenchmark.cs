using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace CaptionService.Benchmarks;

/// <summary>The service as a program of its own, over HTTP: start-up, throughput, latency, memory.</summary>
internal static class ServiceBenchmark
{
    private static readonly byte[][] s_photos = [.. Program.SampleFiles().Select(File.ReadAllBytes)];

    public static async Task RunAsync()
    {
        using var service = await StartAsync();
        Program.Row("start-up to ready", $"{service.StartUp.TotalSeconds:F1} s");
        Program.Row("resident memory, ready", $"{service.ResidentMiB()} MiB");
        await LoadAsync(service.Client, 4, 24);         // warm
        foreach (int clients in new[] { 1, 4, 8, 16 })
        {
            var (rate, latencies) = await LoadAsync(service.Client, clients, clients == 1 ? 60 : 160);
            Program.Row($"service, {clients} client{(clients == 1 ? "" : "s")}, 5 captions, beam 5",
                $"{rate:F1} photos/s, p50 {At(latencies, 0.5):F0} ms, p99 {At(latencies, 0.99):F0} ms");
        }
        Program.Row("resident memory, after the load", $"{service.ResidentMiB()} MiB");
    }

    /// <summary>Whether memory after 2,000 requests is within 5 % of that after 200.</summary>
    public static async Task<bool> SoakAsync()
    {
        using var service = await StartAsync();
        await LoadAsync(service.Client, 8, 200);
        long early = service.ResidentMiB();
        Program.Row("resident memory after 200 requests", $"{early} MiB");
        for (int i = 0; i < 9; i++)
        {
            var (rate, _) = await LoadAsync(service.Client, 8, 200);
            Program.Row($"after {400 + 200 * i} requests ({rate:F1}/s)", $"{service.ResidentMiB()} MiB");
        }
        long late = service.ResidentMiB();
        Program.Row("growth from 200 to 2,000 requests", $"{100.0 * (late - early) / early:F1} % (limit 5 %)");
        return late <= early * 1.05;
    }

    internal static double At(double[] sorted, double quantile) => sorted[Math.Min((int)(quantile * sorted.Length), sorted.Length - 1)];

    /// <summary>Closed-loop clients: each sends its next photo when the last is answered, and where pauses are asked for, at most so long after.</summary>
    internal static async Task<(double Rate, double[] SortedMs)> LoadAsync(HttpClient client, int clients, int requests, int pauseMs = 0)
    {
        int next = 0;
        var latencies = new double[requests];
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, clients).Select(async _ =>
        {
            for (int i; (i = Interlocked.Increment(ref next) - 1) < requests;)
            {
                if (pauseMs > 0)
                    await Task.Delay(Random.Shared.Next(pauseMs));
                long sent = Stopwatch.GetTimestamp();
                using var body = new ByteArrayContent(s_photos[i % s_photos.Length]);
                body.Headers.ContentType = new MediaTypeHeaderValue("image/jpeg");
                using var response = await client.PostAsync(new Uri("/captions?beamWidth=5&count=5", UriKind.Relative), body);
                response.EnsureSuccessStatusCode();
                await response.Content.ReadAsByteArrayAsync();
                latencies[i] = Stopwatch.GetElapsedTime(sent).TotalMilliseconds;
            }
        }));
        double rate = requests / Stopwatch.GetElapsedTime(start).TotalSeconds;
        return (rate, [.. latencies.Order()]);
    }

    internal static async Task<Service> StartAsync(string? storage = null, params string[] settings)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        long start = Stopwatch.GetTimestamp();
        string[] arguments = [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), "--urls", $"http://127.0.0.1:{port}"];
        var process = Process.Start(new ProcessStartInfo("dotnet", [.. arguments, .. settings, .. storage is null ? Array.Empty<string>() : ["--Storage:Folder", storage]])
        {
            RedirectStandardOutput = true,
            WorkingDirectory = AppContext.BaseDirectory,
        })!;
        process.OutputDataReceived += (_, _) => { };        // keep the pipe empty
        process.BeginOutputReadLine();
        var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(2) };
        while (true)
        {
            try
            {
                using var ready = await client.GetAsync(new Uri("/health/ready", UriKind.Relative));
                if (ready.IsSuccessStatusCode)
                    return new Service(process, client, Stopwatch.GetElapsedTime(start));
            }
            catch (HttpRequestException) when (!process.HasExited)
            {
            }
            if (process.HasExited)
                throw new InvalidOperationException($"The service ended with code {process.ExitCode}.");
            await Task.Delay(20);
        }
    }

    internal sealed record Service(Process Process, HttpClient Client, TimeSpan StartUp) : IDisposable
    {
        public long ResidentMiB()
        {
            Process.Refresh();
            return Process.WorkingSet64 >> 20;
        }

        /// <summary>The most that it and its child processes have had resident since they began, or since <see cref="ResetPeak"/>.</summary>
        public long PeakMiB() => Family().Sum(id => File.ReadLines($"/proc/{id}/status").Where(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Sum(KiB)) >> 10;

        public void ResetPeak()
        {
            foreach (int id in Family())
                File.WriteAllText($"/proc/{id}/clear_refs", "5");
        }

        private int[] Family() => [Process.Id, .. Directory.GetDirectories($"/proc/{Process.Id}/task").SelectMany(Children)];

        private static IEnumerable<int> Children(string thread)
        {
            try
            {
                return File.ReadAllText(Path.Combine(thread, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                return [];      // the thread has ended
            }
        }

        // VmHWM:   123456 kB
        private static long KiB(string line) => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture);

        /// <summary>Processor time of it and its child processes since they began.</summary>
        public TimeSpan ProcessorTime() => TimeSpan.FromSeconds(Family().Sum(id => ProcessorSeconds(File.ReadAllText($"/proc/{id}/stat"))));

        // Fields 14 to 17, in ticks of 10 ms: its own and those of children that have ended. The name in field 2 may hold spaces.
        private static double ProcessorSeconds(string stat) =>
            stat.Split(") ")[^1].Split(' ')[11..15].Sum(ticks => double.Parse(ticks, CultureInfo.InvariantCulture)) / 100;

        public void Dispose()
        {
            Client.Dispose();
            Process.Kill();
            Process.WaitForExit();
            Process.Dispose();
        }
    }
}
