using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace CaptionService.Client;

/// <summary>A client of the caption service. Safe for several threads; keep one for as long as the service is used.</summary>
public sealed partial class CaptionClient : IDisposable
{
    private readonly HttpClient _http;

    /// <summary>A client with connections of its own.</summary>
    /// <param name="service">The service's address, such as <c>http://localhost:8080</c>.</param>
    /// <param name="key">A key, where the service asks for one.</param>
    public CaptionClient(Uri service, string? key = null)
        : this(new HttpClient { BaseAddress = service, Timeout = TimeSpan.FromMinutes(10) })
    {
        if (key is not null)
            _http.DefaultRequestHeaders.Add("X-Api-Key", key);
    }

    /// <summary>A client over an <see cref="HttpClient"/>, which knows the service's address and key and becomes this client's.</summary>
    public CaptionClient(HttpClient http)
    {
        ArgumentNullException.ThrowIfNull(http);
        _http = http;
    }

    /// <inheritdoc />
    public void Dispose() => _http.Dispose();

    private Task<T> Get<T>(string path, CancellationToken cancellation) => Send<T>(HttpMethod.Get, path, null, cancellation);

    private Task<T> Post<T>(string path, CancellationToken cancellation) => Send<T>(HttpMethod.Post, path, null, cancellation);

    private Task<T> PostJson<TBody, T>(string path, TBody body, CancellationToken cancellation,
        params (string Name, string? Value)[] headers) =>
        Send<T>(HttpMethod.Post, path, JsonContent.Create(body, ClientJson.Of<TBody>()), cancellation, headers);

    private async Task<T> Send<T>(HttpMethod method, string path, HttpContent? content, CancellationToken cancellation,
        params (string Name, string? Value)[] headers)
    {
        using HttpResponseMessage response = await Answer(method, path, content, "application/json", cancellation, headers)
            .ConfigureAwait(false);
        return await response.Content.ReadFromJsonAsync(ClientJson.Of<T>(), cancellation).ConfigureAwait(false)
            ?? throw new JsonException("The answer is null.");
    }

    private async Task Delete(string path, CancellationToken cancellation) =>
        (await Answer(HttpMethod.Delete, path, null, "application/json", cancellation).ConfigureAwait(false)).Dispose();

    /// <summary>The answer's body, which the caller disposes.</summary>
    private async Task<Stream> Download(string path, string accept, CancellationToken cancellation)
    {
        HttpResponseMessage response = await Answer(HttpMethod.Get, path, null, accept, cancellation).ConfigureAwait(false);
        return await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>The lines of an answer, as they come.</summary>
    private async IAsyncEnumerable<string> Lines(string path, string accept, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await using Stream body = await Download(path, accept, cancellation).ConfigureAwait(false);
        using var reader = new StreamReader(body);
        while (await reader.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
            yield return line;
    }

    /// <summary>The data of server-sent events of one name.</summary>
    private async IAsyncEnumerable<T> Events<T>(string path, string name, [EnumeratorCancellation] CancellationToken cancellation)
    {
        string? current = null;
        await foreach (string line in Lines(path, "text/event-stream", cancellation).ConfigureAwait(false))
        {
            if (line.StartsWith("event: ", StringComparison.Ordinal))
                current = line["event: ".Length..];
            else if (current == name && line.StartsWith("data: ", StringComparison.Ordinal))
                yield return JsonSerializer.Deserialize(line["data: ".Length..], ClientJson.Of<T>())!;
        }
    }

    private async Task<HttpResponseMessage> Answer(HttpMethod method, string path, HttpContent? content, string accept,
        CancellationToken cancellation, params (string Name, string? Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative)) { Content = content };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(accept));
        foreach ((string name, string? value) in headers.Where(header => header.Value is not null))
            request.Headers.Add(name, value);
        HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation)
            .ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await CaptionServiceException.Of(response, cancellation).ConfigureAwait(false);
    }

    private static string Segment(string text) => Uri.EscapeDataString(text);

    private static string Query(params IEnumerable<(string Name, object? Value)> parameters)
    {
        string query = string.Join('&', parameters.Where(parameter => parameter.Value is not null and not "")
            .Select(parameter =>
                $"{parameter.Name}={Uri.EscapeDataString(Convert.ToString(parameter.Value, CultureInfo.InvariantCulture)!)}"));
        return query.Length == 0 ? "" : "?" + query;
    }

    private static StreamContent File(Stream content, string type = "application/octet-stream") =>
        new(content) { Headers = { ContentType = new MediaTypeHeaderValue(type) } };
}
