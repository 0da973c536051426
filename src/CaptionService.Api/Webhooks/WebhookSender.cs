using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using CaptionService.Api.Fetch;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace CaptionService.Api.Webhooks;

/// <summary>
/// Sends what waits, signed as Standard Webhooks has it. A message is sent until its address takes it: at once a few times, then
/// after longer and longer waits, for a day and a half. It may come twice; its id is then the same.
/// </summary>
internal sealed partial class WebhookSender : ITrainerWork, IDisposable
{
    // Waits between attempts: minutes.
    private static readonly int[] s_waits = [1, 5, 30, 120, 300, 600, 1200];

    private readonly IDbContextFactory<CaptionDb> _databases;
    private readonly WebhooksOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly HttpClient _client;
    private readonly ResiliencePipeline<HttpStatusCode> _repetitions;

    public WebhookSender(IDbContextFactory<CaptionDb> databases, WebhookSignals signals, IOptions<WebhooksOptions> options,
        TimeProvider time, ILogger<WebhookSender> logger)
    {
        (_databases, Added, _options, _time, _logger) = (databases, signals, options.Value, time, logger);
        _client = GuardedClient.New(_options.AllowedNetworks, redirects: 0);
        _repetitions = new ResiliencePipelineBuilder<HttpStatusCode>()
            .AddRetry(new RetryStrategyOptions<HttpStatusCode>
            {
                MaxRetryAttempts = 2, Delay = TimeSpan.FromMilliseconds(500), BackoffType = DelayBackoffType.Exponential, UseJitter = true,
                ShouldHandle = attempt => ValueTask.FromResult(attempt.Outcome switch
                {
                    { Exception: { } failure } =>
                        failure is TimeoutRejectedException or HttpRequestException && !GuardedClient.IsRefused(failure),
                    { Result: var status } =>
                        status is >= HttpStatusCode.InternalServerError or HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout,
                }),
            })
            .AddTimeout(_options.Timeout)
            .Build();
    }

    /// <inheritdoc />
    public int AtOnce => 4;

    /// <inheritdoc />
    public Signal Added { get; }

    /// <summary>Nothing to do: what was being sent still waits.</summary>
    public Task Recover(CancellationToken stopping) => Task.CompletedTask;

    /// <inheritdoc />
    public async Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping)
    {
        if (_options.Urls.Count == 0)
            return null;
        DateTimeOffset now = _time.GetUtcNow();
        await using CaptionDb db = await _databases.CreateDbContextAsync(stopping);
        WebhookMessage? next = await db.WebhookMessages.AsNoTracking()
            .Where(message => !running.Contains(message.Id) && message.NextAt <= now).OrderBy(message => message.NextAt)
            .ThenBy(message => message.Id).FirstOrDefaultAsync(stopping);
        return next is null ? null : new QueuedRun(next.Id, stop => Send(next, stop));
    }

    private async Task Send(WebhookMessage message, CancellationToken stopping)
    {
        string? why = null;
        bool final = !_options.Urls.Contains(message.Url);      // no longer told
        if (!final)
        {
            try
            {
                HttpStatusCode status = await _repetitions.ExecuteAsync(async cancellation => await Post(message, cancellation), stopping);
                (why, final) = ((int)status is >= 200 and < 300 ? null : $"it answered with {(int)status}", status == HttpStatusCode.Gone);
            }
            catch (Exception failure) when (failure is not OperationCanceledException || !stopping.IsCancellationRequested)
            {
                why = GuardedClient.IsRefused(failure) ? "the address is not public" : failure.Message;
            }
        }
        final |= message.Attempts >= s_waits.Length;
        if (why is not null)
            Log.NotTaken(_logger, message.Id, new Uri(message.Url).Host, why, final ? "given up" : "sent again later");
        await using CaptionDb db = await _databases.CreateDbContextAsync(CancellationToken.None);
        if (why is null || final)
        {
            await db.WebhookMessages.Where(row => row.Id == message.Id).ExecuteDeleteAsync(CancellationToken.None);
            return;
        }
        DateTimeOffset next = _time.GetUtcNow().AddMinutes(s_waits[message.Attempts]);
        await db.WebhookMessages.Where(row => row.Id == message.Id)
            .ExecuteUpdateAsync(row => row.SetProperty(m => m.NextAt, next).SetProperty(m => m.Attempts, message.Attempts + 1),
                CancellationToken.None);
    }

    private async Task<HttpStatusCode> Post(WebhookMessage message, CancellationToken cancellation)
    {
        string timestamp = _time.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        byte[] signature = HMACSHA256.HashData(_options.Key!, Encoding.UTF8.GetBytes($"{message.Id}.{timestamp}.{message.Body}"));
        using var request = new HttpRequestMessage(HttpMethod.Post, message.Url)
        {
            Content = new StringContent(message.Body, Encoding.UTF8, "application/json"),
            Headers = { { "webhook-id", message.Id }, { "webhook-timestamp", timestamp }, { "webhook-signature", $"v1,{Convert.ToBase64String(signature)}" } },
        };
        using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        return response.StatusCode;
    }

    public void Dispose() => _client.Dispose();

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Message {Id} was not taken by {Host}: {Why}; {Then}")]
        public static partial void NotTaken(ILogger logger, string id, string host, string why, string then);
    }
}
