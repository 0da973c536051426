using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.RegularExpressions;
using CaptionService.Captioning;
using CaptionService.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace CaptionService.Api.Tests;

/// <summary>What operators see of a request and of the batch that served it.</summary>
public sealed class TelemetryTests(Service service, ShippedSmall shipped)
{
    [Fact]
    public async Task A_batch_links_the_request_it_serves_and_has_spans_for_encoder_and_search()
    {
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is CaptionTrace.SourceName or "Microsoft.AspNetCore",
            Sample = (ref _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        var trace = ActivityTraceId.CreateRandom();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/captions")
        {
            Content = Service.Form([("cat", Photos.Cat), ("temple", Photos.Temple)]),
        };
        request.Headers.Add("traceparent", $"00-{trace}-{ActivitySpanId.CreateRandom()}-01");

        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Assert.True(response.IsSuccessStatusCode);
        Activity batch = Assert.Single(spans,
            span => span.OperationName == CaptionTrace.Batch && span.Links.Any(link => link.Context.TraceId == trace));
        ActivityLink link = Assert.Single(batch.Links);
        // The request's own span ends after its answer has left.
        Activity? http = null;
        while ((http = spans.SingleOrDefault(span => span.TraceId == trace)) is null)
        {
            await Task.Delay(5, Service.Cancellation);
        }
        Assert.Equal(http.SpanId, link.Context.SpanId);
        Assert.Equal(2, batch.GetTagItem("caption.batch.size"));
        Assert.Equal(default, batch.ParentSpanId);
        Assert.Equal([CaptionTrace.Encode, CaptionTrace.Encode, CaptionTrace.Search],
            spans.Where(span => span.ParentSpanId == batch.SpanId).Select(span => span.OperationName).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "", true, true)]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", true, false)]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/v1/metrics", false, true)]
    public async Task The_standard_variables_say_where_traces_and_metrics_go(string variable, string path, bool traces, bool metrics)
    {
        var (gotTraces, gotMetrics) = (new TaskCompletionSource<string>(), new TaskCompletionSource<string>());
        await using WebApplication collector = WebApplication.CreateSlimBuilder().Build();
        collector.Urls.Add("http://127.0.0.1:0");
        collector.MapPost("/v1/traces", async (HttpRequest request) => gotTraces.TrySetResult(await Text(request)));
        collector.MapPost("/v1/metrics", async (HttpRequest request) => gotMetrics.TrySetResult(await Text(request)));
        await collector.StartAsync(Service.Cancellation);
        // A program of its own, as operators start it: the variables are the process's, and no other service's traces mix in.
        string storage = Directory.CreateTempSubdirectory("captionservice-").FullName;
        await using (var program = new ServiceProcess((variable, collector.Urls.Single() + path), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_SERVICE_NAME", "photos-of-mine"),
            ("Storage__Folder", storage), (ShippedSmall.Setting.Replace(":", "__", StringComparison.Ordinal), shipped.Folder)))
        {
            using HttpClient client = await program.Ready();
            Assert.Equal(200, (await Answer.Get(client, "/models")).Status);
            program.Terminate();
            await program.Exit();       // its end sends what is left
        }
        Directory.Delete(storage, recursive: true);

        Assert.Equal((traces, metrics), (gotTraces.Task.IsCompleted, gotMetrics.Task.IsCompleted));
        if (traces)
        {
            Assert.Contains("http.request.method", await gotTraces.Task, StringComparison.Ordinal);
            Assert.Contains("photos-of-mine", await gotTraces.Task, StringComparison.Ordinal);
        }
        if (metrics)
        {
            Assert.Contains("http.server.request.duration", await gotMetrics.Task, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_instrument_is_in_the_table_of_metrics()
    {
        Assert.NotNull(service.Client);
        var made = new SortedSet<string>(StringComparer.Ordinal);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Name == Telemetry.MeterName)
            {
                made.Add($"{instrument.Name} {instrument.Unit}");
            }
        };
        listener.Start();       // tells of those that are there

        IEnumerable<string> told = Repository.Read("docs/settings.md").Split('\n')
            .SkipWhile(line => line != "| metric | unit | meaning |").Skip(2).TakeWhile(line => line.StartsWith('|')).Select(line => line.Split('|'))
            .SelectMany(row => Regex.Matches(row[1], "`([^`]+)`").Select(name => $"{name.Groups[1].Value} {row[2].Trim()}"));
        Assert.Equal(made, told.Order(StringComparer.Ordinal));
    }

    private static async Task<string> Text(HttpRequest request)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body);
        return Encoding.Latin1.GetString(body.ToArray());
    }
}
