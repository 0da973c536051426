using System.Globalization;

namespace CaptionService.Api;

/// <summary>A stream of server-sent events (WHATWG HTML, 9.2) over what is stored: written when it changes, looked at when other servers may have stored more.</summary>
internal sealed class ServerSentEvents
{
    /// <summary>Their media type.</summary>
    public const string MediaType = "text/event-stream";

    /// <summary>The request's header with the number of the last event that the listener has.</summary>
    public const string LastEventId = "Last-Event-ID";

    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);            // for what other servers stored
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);        // then a comment, so that proxies keep the connection

    private readonly HttpResponse _response;
    private readonly TimeProvider _time;
    private readonly CancellationToken _until;
    private long _spoke;

    private ServerSentEvents(HttpResponse response, TimeProvider time, CancellationToken until)
    {
        (_response, _time, _until, _spoke) = (response, time, until, time.GetTimestamp());
        response.ContentType = MediaType;
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no";       // nginx passes each event on at once
    }

    /// <summary>What the listener has; null where it does not say.</summary>
    /// <exception cref="ProblemException">It is no number of an event.</exception>
    public static long? LastOf(HttpRequest request) =>
        request.Headers[LastEventId].ToString() is not { Length: > 0 } text ? null
        : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number
        : throw new ProblemException(ProblemTable.InvalidOption, $"{LastEventId} must be the number of an event.");

    /// <summary>Streams until the work ends, the listener leaves, or the server does; with <see cref="LastEventId"/> the rest is had later.</summary>
    public static async Task Write(HttpContext http, TimeProvider time, Func<ServerSentEvents, CancellationToken, Task> work)
    {
        using var until = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted,
            http.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        try
        {
            await work(new ServerSentEvents(http.Response, time, until.Token), until.Token);
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
        }
    }

    /// <summary>One event, as <see cref="Send"/> takes it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="json">Its data.</param>
    /// <param name="id">Its number; null: none.</param>
    public static string Event(string name, string json, long? id = null) => $"{(id is null ? "" : $"id: {id}\n")}event: {name}\ndata: {json}\n\n";

    /// <summary>Sends events; where there are none and it has been silent for long, a comment.</summary>
    public async Task Send(string events)
    {
        if (events.Length == 0 && _time.GetElapsedTime(_spoke) >= Silence)
            events = ":\n\n";
        if (events.Length == 0)
            return;
        await _response.WriteAsync(events, _until);
        await _response.Body.FlushAsync(_until);
        _spoke = _time.GetTimestamp();
    }

    /// <summary>Waits until it is time to look again.</summary>
    /// <param name="changed">Completes when something was stored here.</param>
    public async Task Wait(Task changed)
    {
        await Task.WhenAny(changed, Task.Delay(Look, _time, _until));
        _until.ThrowIfCancellationRequested();
    }
}
