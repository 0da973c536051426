using System.Net;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Tests;

/// <summary>Start and end of the service.</summary>
public sealed class LifeTests(Service service)
{
    [Fact]
    public async Task A_service_with_a_warm_model_is_live_and_ready()
    {
        Assert.Equal("live", (string?)(await Answer.Get(service.Client, "/health/live")).Body["status"]);
        JsonNode ready = (await Answer.Get(service.Client, "/health/ready")).Body;
        Assert.Equal("ready", (string?)ready["status"]);
        JsonArray checks = ready["checks"]!.AsArray();
        Assert.Equal(["database", "disk", "jobs", "models", "queue", "worker"], checks.Select(check => (string)check!["name"]!));
        Assert.All(checks, check => Assert.True((string)check!["name"]! is "disk" || (string)check["status"]! is "healthy", check.ToJsonString()));
        Assert.All(checks, check => Assert.True(((string)check!["description"]!).Length > 5 && (double)check["durationMs"]! >= 0));
    }

    [Fact]
    public async Task While_the_model_loads_the_service_is_live_but_not_ready()
    {
        await using var factory = new ServiceFactory(ServiceFactory.WithoutModels);
        HttpClient client = await factory.Start(ready: false);

        Assert.Equal(200, (await Answer.Get(client, "/health/live")).Status);
        (await Answer.Get(client, "/health/ready")).IsProblem(503, "model_loading");
        (await Answer.To(client, "/captions", Service.Bytes(Photos.Cat))).IsProblem(503, "model_loading");
        Assert.Empty((await Answer.Get(client, "/models")).Body["models"]!.AsArray());
    }

    [Theory]
    [InlineData("MaxBatchSize", "0")]
    [InlineData("QueueCapacity", "15")]
    [InlineData("MaxQueueDelay", "00:00:02")]
    [InlineData("Deadline", "00:00:00.5")]
    public void A_setting_out_of_range_stops_the_start(string name, string value)
    {
        using var factory = new ServiceFactory(host => host.UseSetting("Captioning:" + name, value));

        var wrong = Assert.Throws<OptionsValidationException>(factory.StartServer);
        Assert.Contains(name, wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readiness_waits_for_what_was_accepted_and_takes_no_more()
    {
        var readiness = new Readiness();
        Assert.Equal(ProblemTable.ModelLoading, Assert.Throws<ProblemException>(readiness.Accept).Kind);
        readiness.Ready();
        IDisposable first = readiness.Accept(), second = readiness.Accept();

        Task drained = readiness.Drain(Service.Cancellation);

        Assert.Equal(ProblemTable.Draining, Assert.Throws<ProblemException>(readiness.Accept).Kind);
        first.Dispose();
        Assert.False(drained.IsCompleted);
        second.Dispose();
        await drained;
        readiness.Ready();
        Assert.Equal(ProblemTable.Draining, readiness.NotReady);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_ends_the_program_with_a_failure()
    {
        await using var program = new ServiceProcess(("Captioning__ModelFolder", Path.Combine(AppContext.BaseDirectory, "no-such-model")));

        Assert.Equal(1, await program.Exit());
        Assert.Contains("no-such-model", program.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SIGTERM_under_load_loses_nothing_and_the_log_tells_no_secrets()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGTERM.");
        await using var program = new ServiceProcess();
        using HttpClient client = await program.Ready();
        Answer before = await Answer.To(client, "/captions?include=words", Service.Form([("private-holiday.jpg", Photos.Cat)]));
        string caption = before.Best();
        Assert.Equal(400, (await Answer.To(client, "/captions?apiKey=query-secret", Service.Bytes(Photos.Cat))).Status);

        // A body is asked for once its request was accepted: then SIGTERM may come. The last body is held back, so that an answer is owed until all was looked at.
        var looked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = new List<Task<Answer>>();
        await Task.WhenAll(Enumerable.Range(0, 23).Select(_ => Call(Task.CompletedTask)));
        await Call(looked.Task);
        program.Terminate();

        // While answers are owed, the server still listens and says that it is not ready.
        Answer ready;
        do
        {
            ready = await Answer.Get(client, "/health/ready");
        }
        while (ready.Status == 200);
        ready.IsProblem(503, "draining");
        looked.SetResult();
        Answer[] answers = await Task.WhenAll(calls);
        Assert.Equal(0, await program.Exit());

        Assert.All(answers, answer => Assert.Equal(caption, answer.Best()));
        Assert.DoesNotContain("private-holiday", program.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("query-secret", program.Log, StringComparison.Ordinal);
        Assert.DoesNotContain(caption, program.Log, StringComparison.Ordinal);
        JsonNode line = program.Log.Split('\n').Where(line => line.Contains("\"QueueMs\"", StringComparison.Ordinal)).Select(line => JsonNode.Parse(line)!).First();
        Assert.Equal((1, 200), ((int)line["Photos"]!, (int)line["StatusCode"]!));
        Assert.NotNull(line["EncodeMs"]);
        Assert.NotNull(line["DecodeMs"]);
        Assert.Equal(26, program.Log.Split('\n').Count(line => line.Contains("/captions", StringComparison.Ordinal)));   // one line a request

        Task Call(Task send)
        {
            var body = new AskedFor(Service.Form([("private-holiday.jpg", Photos.Cat)]), send);
            calls.Add(Answer.To(client, "/captions", body));
            return body.Asked.WaitAsync(Service.Cancellation);
        }
    }

    /// <summary>A body that is sent when the server has asked for it (100 Continue) and the test lets it.</summary>
    private sealed class AskedFor : HttpContent
    {
        private readonly HttpContent _body;
        private readonly Task _send;
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public AskedFor(HttpContent body, Task send)
        {
            (_body, _send) = (body, send);
            Headers.ContentType = body.Headers.ContentType;
        }

        public Task Asked => _asked.Task;

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            _asked.SetResult();
            await _send;
            await _body.CopyToAsync(stream, context);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
