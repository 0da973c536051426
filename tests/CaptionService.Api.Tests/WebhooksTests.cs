using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using CaptionService.Api.Tests.CaptionJobs;
using CaptionService.Api.Tests.Datasets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Tests;

/// <summary>Messages about jobs that end, as a receiver gets them that checks them by the specification of Standard Webhooks.</summary>
public sealed class WebhooksTests(ShippedSmall shipped) : IAsyncLifetime
{
    internal const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";     // the specification's example

    private sealed record Message(string Id, string Timestamp, string Signature, string Body);

    private readonly Channel<Message> _received = Channel.CreateUnbounded<Message>();
    private WebApplication? _receiver;
    private int _refuse;

    public async ValueTask InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.2:0");
        _receiver = builder.Build();
        _receiver.MapPost("/hook", async (HttpRequest request) =>
        {
            using var reader = new StreamReader(request.Body);
            await _received.Writer.WriteAsync(new Message(request.Headers["webhook-id"]!, request.Headers["webhook-timestamp"]!, request.Headers["webhook-signature"]!, await reader.ReadToEndAsync()));
            return Interlocked.Decrement(ref _refuse) >= 0 ? Results.StatusCode(503) : Results.NoContent();
        });
        await _receiver.StartAsync(Service.Cancellation);
    }

    public async ValueTask DisposeAsync() => await _receiver!.DisposeAsync();

    private IWebHostBuilder Configure(IWebHostBuilder host, string network) => host.UseSetting(ShippedSmall.Setting, shipped.Folder)
        .UseSetting("Webhooks:Urls:0", _receiver!.Urls.Single() + "/hook").UseSetting("Webhooks:Secret", Secret).UseSetting("Webhooks:AllowedNetworks:0", network);

    [Fact]
    public async Task A_job_that_ends_is_told_signed_and_again_until_it_is_taken()
    {
        _refuse = 2;
        await using var factory = new ServiceFactory(host => Configure(host, "127.0.0.2/32"));
        using HttpClient client = await factory.Start(ready: true);
        string id = (await Jobs.Send(client, Jobs.Many(2))).Id();

        Message[] received = [await Next(), await Next(), await Next()];

        Assert.Single(received.Select(message => message.Id).Distinct());
        Assert.Single(received.Select(message => message.Body).Distinct());
        Assert.All(received, message =>
        {
            byte[] key = Convert.FromBase64String(Secret["whsec_".Length..]);
            Assert.Equal("v1," + Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{message.Id}.{message.Timestamp}.{message.Body}"))), message.Signature);
            Assert.InRange(DateTimeOffset.FromUnixTimeSeconds(long.Parse(message.Timestamp, CultureInfo.InvariantCulture)), TimeProvider.System.GetUtcNow().AddMinutes(-5), TimeProvider.System.GetUtcNow().AddMinutes(1));
        });
        JsonNode body = JsonNode.Parse(received[0].Body)!;
        Assert.Equal(("caption_job.succeeded", id, $"/caption-jobs/{id}", "succeeded"), ((string?)body["type"], (string?)body["data"]!["id"], (string?)body["data"]!["address"], (string?)body["data"]!["state"]));
        Assert.True((await Answer.Get(client, (string)body["data"]!["address"]!)).Status == 200 && body["timestamp"] is not null);
        while (await Waiting(factory.Storage) > 0)
        {
            await Task.Delay(20, Service.Cancellation);
        }
        Assert.False(_received.Reader.TryRead(out _));      // taken once
    }

    [Fact]
    public async Task An_address_that_is_not_public_is_not_called_and_its_message_waits_until_it_may_be()
    {
        string folder = Directory.CreateTempSubdirectory("captionservice-").FullName, id;
        await using (var factory = new ServiceFactory(host => { Configure(host, "127.0.0.3/32"); host.UseSetting("Storage:Folder", folder); }))
        {
            using HttpClient client = await factory.Start(ready: true);
            id = (await Jobs.Send(client, Jobs.Many(2))).Id();
            await Jobs.Until(client, id, "succeeded");
            while (await Waiting(folder, "\"Attempts\" > 0") == 0)
            {
                await Task.Delay(20, Service.Cancellation);
            }
        }
        Assert.False(_received.Reader.TryRead(out _));

        // The operator allows the network, and the wait is over.
        Assert.Equal(1, await Change(folder, "UPDATE \"WebhookMessages\" SET \"NextAt\" = 0"));
        await using (var factory = new ServiceFactory(host => { Configure(host, "127.0.0.2/32"); host.UseSetting("Storage:Folder", folder); }))
        {
            using HttpClient client = await factory.Start(ready: false);
            Assert.Equal(id, (string?)JsonNode.Parse((await Next()).Body)!["data"]!["id"]);
        }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task Training_jobs_and_evaluations_are_told_too()
    {
        await using var factory = new ServiceFactory(host => Configure(host, "127.0.0.2/32").UseSetting("Datasets:Estimate", "false"));
        using HttpClient client = await factory.Start(ready: true);
        using var form = Service.Form([]);
        form.Add(new ByteArrayContent(Made.Zip(Made.Files)), "archive", "set.zip");
        string dataset = (string)(await Answer.To(client, "/datasets", form)).Body["id"]!;
        while ((string?)(await Answer.Get(client, $"/datasets/{dataset}")).Body["status"] == "checking")
        {
            await Task.Delay(50, Service.Cancellation);
        }
        string job = (string)(await Post(client, "/training-jobs", $$"""{"dataset": "{{dataset}}", "preset": "best"}""")).Body["id"]!;
        Assert.Equal(202, (await Post(client, $"/training-jobs/{job}/cancel", "")).Status);
        string evaluation = (string)(await Post(client, "/evaluations", $$"""{"dataset": "{{dataset}}", "model": "{{ShippedSmall.Name}}"}""")).Body["id"]!;

        JsonNode[] told = [JsonNode.Parse((await Next()).Body)!, JsonNode.Parse((await Next()).Body)!];

        Assert.Equal(new[] { $"evaluation.succeeded {evaluation}", $"training_job.cancelled {job}" }, told.Select(message => $"{message["type"]} {message["data"]!["id"]}").Order(StringComparer.Ordinal));

        static Task<Answer> Post(HttpClient client, string path, string json) => Answer.To(client, path, new StringContent(json, Encoding.UTF8, "application/json"));
    }

    [Theory]
    [InlineData("ftp://example.org/", Secret)]
    [InlineData("https://example.org/", "whsec_c2hvcnQ=")]
    [InlineData("https://example.org/", "secret")]
    [InlineData("https://example.org/", null)]
    public void Settings_that_cannot_work_stop_the_start(string url, string? secret)
    {
        using var factory = new ServiceFactory(host =>
        {
            ServiceFactory.WithoutModels(host);
            host.UseSetting("Webhooks:Urls:0", url);
            if (secret is not null)
            {
                host.UseSetting("Webhooks:Secret", secret);
            }
        });
        Assert.Contains("Webhooks:", Assert.Throws<OptionsValidationException>(factory.StartServer).Message, StringComparison.Ordinal);
    }

    private async Task<Message> Next() => await _received.Reader.ReadAsync(Service.Cancellation);

    private static async Task<int> Change(string storage, string sql)
    {
        await using var database = new SqliteConnection($"Data Source={Path.Combine(storage, "captionservice.db")};Pooling=False");
        await database.OpenAsync(Service.Cancellation);
        await using SqliteCommand change = database.CreateCommand();
        change.CommandText = sql;
        return await change.ExecuteNonQueryAsync(Service.Cancellation);
    }

    private static async Task<long> Waiting(string storage, string where = "1 = 1")
    {
        await using var database = new SqliteConnection($"Data Source={Path.Combine(storage, "captionservice.db")};Pooling=False");
        await database.OpenAsync(Service.Cancellation);
        await using SqliteCommand count = database.CreateCommand();
        count.CommandText = $"SELECT COUNT(*) FROM \"WebhookMessages\" WHERE {where}";
        return (long)(await count.ExecuteScalarAsync(Service.Cancellation))!;
    }
}
