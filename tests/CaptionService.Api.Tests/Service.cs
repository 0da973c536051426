using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using CaptionService.Api.Captions;
using CaptionService.Api.Tests;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Sdk;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(Service))]

// Two rows side by side, since there are two cores: the tests of whole programs, most of whose time is the programs' own and
// waiting for them (SharedFeatures.Programs), and all others, which share services of this process.
[assembly: Parallelization(Mode = ParallelMode.Collections, MaxThreads = 2)]
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]

namespace CaptionService.Api.Tests;

/// <summary>The service itself on a real port, with the model it is shipped with. One for all tests.</summary>
public sealed class Service : IAsyncLifetime
{
    private readonly ServiceFactory _factory = new(host => host.UseSetting("Captioning:DecoderProcesses", "2").UseSetting("Captioning:Deadline", "00:05:00").UseSetting("Cors:Origins:0", WebClientsTests.Origin).UseSetting("Compatible:Aliases:llava", "everyday-en")
        .UseSetting("CaptionJobs:Folders:samples", Path.Combine(AppContext.BaseDirectory, "samples")));

    private readonly Dictionary<string, string> _best = [];

    public HttpClient Client { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Client = await _factory.Start(ready: true);

    public async ValueTask DisposeAsync() => await _factory.DisposeAsync();

    /// <summary>Where it keeps its data.</summary>
    public string Storage => _factory.Storage;

    /// <summary>The best caption of a sample sent alone.</summary>
    public async Task<string> BestOf(string sample)
    {
        if (!_best.TryGetValue(sample, out string? best))
        {
            _best[sample] = best = (await Caption(Photos.Sample(sample))).Best();
        }
        return best;
    }

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Sends one photo as the body.</summary>
    public Task<Answer> Caption(byte[] photo, string query = "", string? type = null) => Answer.To(Client, "/captions" + query, Bytes(photo, type));

    /// <summary>Sends photos as a form.</summary>
    public Task<Answer> CaptionForm(IEnumerable<(string Name, byte[] Bytes)> photos, params (string Name, string Value)[] options) =>
        Answer.To(Client, "/captions", Form(photos, options));

    /// <summary>Sends JSON.</summary>
    public Task<Answer> CaptionJson(string json) =>
        Answer.To(Client, "/captions", new StringContent(json, new MediaTypeHeaderValue("application/json")));

    public static HttpContent Bytes(byte[] photo, string? type = null)
    {
        var content = new ByteArrayContent(photo);
        if (type is not null)
        {
            content.Headers.TryAddWithoutValidation("Content-Type", type);
        }
        return content;
    }

    public static MultipartFormDataContent Form(IEnumerable<(string Name, byte[] Bytes)> photos, params (string Name, string Value)[] options)
    {
        var form = new MultipartFormDataContent();
        foreach ((string name, byte[] bytes) in photos)
        {
            form.Add(new ByteArrayContent(bytes), "photo", name);
        }
        foreach ((string name, string value) in options)
        {
            form.Add(new StringContent(value), name);
        }
        return form;
    }
}

/// <summary>Starts the program in this process, on a free port.</summary>
public sealed class ServiceFactory : WebApplicationFactory<Program>
{
    private readonly Action<IWebHostBuilder> _configure;

    /// <summary>Where this one keeps its data, unless it is told otherwise.</summary>
    public string Storage { get; } = Directory.CreateTempSubdirectory("captionservice-").FullName;

    public ServiceFactory(Action<IWebHostBuilder> configure)
    {
        _configure = configure;
        UseKestrel(0);
    }

    /// <summary>Leaves the worker out, and with it the models: for tests that caption nothing. The service is live, never ready.</summary>
    public static void WithoutModels(IWebHostBuilder host) => host.ConfigureTestServices(services =>
        services.Remove(services.Single(service => service.ImplementationType == typeof(CaptionWorker))));

    /// <summary>Waits until so many photos wait for the worker.</summary>
    public async Task Waiting(int photos)
    {
        while (Services.GetRequiredService<CaptionQueue>().Length != photos)
        {
            await Task.Delay(5, Service.Cancellation);
        }
    }

    /// <summary>A key of scope admin, for services that are given it.</summary>
    public const string FirstKey = "the-first-key-of-services-in-tests";

    public async Task<HttpClient> Start(bool ready, string? key = null)
    {
        StartServer();
        using HttpClient guide = CreateClient();    // knows the port
        var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = guide.BaseAddress, Timeout = TimeSpan.FromMinutes(5) };
        if (key is not null)
        {
            client.DefaultRequestHeaders.Add("X-Api-Key", key);
        }
        // The worker says when it is ready; asking again is all a caller can do.
        while (ready && !(await client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(50, Service.Cancellation);
        }
        return client;
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("Serilog:MinimumLevel:Default", "Fatal");
        builder.UseSetting("Storage:Folder", Storage);
        builder.UseSetting("Captioning:DecoderProcesses", "0");     // two programs for each service would be most of its start
        _configure(builder);
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        SqliteConnection.ClearAllPools();
        try
        {
            Secrets.AssertNone(Storage);
        }
        finally
        {
            Directory.Delete(Storage, recursive: true);
        }
    }
}

/// <summary>One answer, read.</summary>
public sealed record Answer(int Status, string? Type, HttpResponseHeaders Headers, JsonNode Body)
{
    public static async Task<Answer> To(HttpClient client, string path, HttpContent content, CancellationToken? cancellation = null)
    {
        using HttpResponseMessage response = await client.PostAsync(path, content, cancellation ?? Service.Cancellation);
        return await Read(response);
    }

    public static async Task<Answer> Get(HttpClient client, string path)
    {
        using HttpResponseMessage response = await client.GetAsync(path, Service.Cancellation);
        return await Read(response);
    }

    public static async Task<Answer> Read(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync(Service.Cancellation);
        return new Answer((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, response.Headers, JsonNode.Parse(text)!);
    }

    /// <summary>The best caption of a photo.</summary>
    public string Best(int photo = 0) => (string)Captions(photo)[0]!["text"]!;

    public JsonArray Captions(int photo = 0)
    {
        Assert.True(Status == 200, Body.ToJsonString());
        return Body["results"]![photo]!["captions"]!.AsArray();
    }

    public JsonArray Results => Body["results"]!.AsArray();

    /// <summary>Checks that this is a problem as every problem must be.</summary>
    public Answer IsProblem(int status, string code)
    {
        Assert.True(Status == status, $"{status} expected, {Status} found: {Body.ToJsonString()}");
        Assert.Equal("application/problem+json", Type);
        Assert.Equal(code, (string?)Body["code"]);
        Assert.Equal($"/problems/{code}", (string?)Body["type"]);
        Assert.Equal(status, (int)Body["status"]!);
        Assert.Matches("^[0-9a-f]{32}$", (string?)Body["traceId"]);
        Assert.NotEmpty((string)Body["title"]!);
        Assert.NotEmpty((string)Body["detail"]!);
        Assert.NotEmpty((string)Body["instance"]!);
        Assert.DoesNotContain("   at ", (string)Body["detail"]!, StringComparison.Ordinal);
        Assert.Equal(status is 429 or 503, Headers.RetryAfter is not null);
        return this;
    }
}
