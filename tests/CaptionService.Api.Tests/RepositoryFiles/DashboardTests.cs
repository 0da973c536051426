using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.TrainingJobs;
using CaptionService.Tests;

namespace CaptionService.Api.Tests.RepositoryFiles;

/// <summary>The dashboard of deploy/grafana, asked of a Prometheus that scrapes the service.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class DashboardTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    private static readonly string? s_prometheus = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, "prometheus")).FirstOrDefault(File.Exists);

    private static string[] Queries() => [.. JsonNode.Parse(Repository.Read("deploy/grafana/captionservice.json"))!["panels"]!.AsArray()
        .SelectMany(panel => panel!["targets"]!.AsArray())
        .Select(target => ((string)target!["expr"]!).Replace("$__rate_interval", "1m", StringComparison.Ordinal))];

    [Fact]
    public async Task Every_query_of_the_dashboard_is_answered_with_data()
    {
        Assert.SkipWhen(s_prometheus is null, "Prometheus is not installed.");
        // A process of its own: several services in one would count in one another's metrics.
        await using var service = new TrainingService(await databases.Fresh("sqlite"), features, output);
        await service.Start();
        while (!(await service.Client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(50, Service.Cancellation);
        }
        var folder = Directory.CreateTempSubdirectory("prometheus-");
        string config = Path.Combine(folder.FullName, "prometheus.yml");
        await File.WriteAllTextAsync(config, $"""
            global: {"{"} scrape_interval: 1s {"}"}
            scrape_configs:
              - job_name: captions
                static_configs:
                  - targets: ['{service.Client.BaseAddress!.Authority}']
            """, Service.Cancellation);
        var address = new Uri($"http://127.0.0.1:{FreePort()}");
        using Process prometheus = Process.Start(new ProcessStartInfo(s_prometheus!,
            [$"--config.file={config}",
                $"--storage.tsdb.path={folder.FullName}/data", $"--web.listen-address={address.Authority}", "--log.level=error"]))!;
        try
        {
            using var client = new HttpClient { BaseAddress = address };
            var open = new HashSet<string>(Queries());
            Assert.NotEmpty(open);
            // Rates need captions between two scrapes: some are asked for until all queries have an answer.
            for (int round = 0; open.Count > 0; round++)
            {
                Assert.True(round < 100, "Without data:\n" + string.Join('\n', open));
                Assert.False(prometheus.HasExited);
                (await Answer.To(service.Client, "/captions", Service.Bytes(Photos.Cat))).Best();
                await Task.Delay(300, Service.Cancellation);
                foreach (string query in open.ToArray())
                {
                    if (await HasData(client, query))
                    {
                        open.Remove(query);
                    }
                }
            }
        }
        finally
        {
            prometheus.Kill();
            await prometheus.WaitForExitAsync(CancellationToken.None);
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Whether a query has a number as its answer; a mean of nothing is none.</summary>
    private static async Task<bool> HasData(HttpClient prometheus, string query)
    {
        try
        {
            string path = "/api/v1/query?query=" + Uri.EscapeDataString(query);
            using HttpResponseMessage response = await prometheus.GetAsync(path, Service.Cancellation);
            string text = await response.Content.ReadAsStringAsync(Service.Cancellation);
            Assert.False(response.StatusCode == HttpStatusCode.BadRequest, $"{query}: {text}");
            return response.IsSuccessStatusCode
                && JsonNode.Parse(text)!["data"]!["result"]!.AsArray() is [{ } series, ..]
                && double.IsFinite(double.Parse((string)series["value"]![1]!, NumberStyles.Float, CultureInfo.InvariantCulture));
        }
        catch (HttpRequestException)
        {
            return false;       // it has not begun to listen
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
