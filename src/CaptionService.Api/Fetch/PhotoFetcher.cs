using System.Net;
using System.Net.Sockets;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Options;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace CaptionService.Api.Fetch;

/// <summary>Registers what fetches photos.</summary>
public static class FetchApi
{
    /// <summary>Registers the settings and the one client.</summary>
    public static IServiceCollection AddFetch(this IServiceCollection services)
    {
        services.AddOptions<FetchOptions>().BindConfiguration(FetchOptions.Section).ValidateDataAnnotations()
            .Validate(fetch => fetch.AllowedNetworks.All(network => IPNetwork.TryParse(network, out _)), "Fetch:AllowedNetworks has networks as CIDR, such as 10.1.2.0/24.").ValidateOnStart();
        return services.AddSingleton<PhotoFetcher>();
    }
}

/// <summary>Fetches photos by their address, for callers who are not trusted with the network that the service stands in.</summary>
internal sealed class PhotoFetcher : IDisposable
{
    private readonly FetchOptions _options;
    private readonly HttpClient _client;
    private readonly ResiliencePipeline<ReadOnlyMemory<byte>> _attempts;

    public PhotoFetcher(IOptions<FetchOptions> options)
    {
        _options = options.Value;
        _client = GuardedClient.New(_options.AllowedNetworks, FetchOptions.MaxRedirects);
        _client.DefaultRequestHeaders.Accept.ParseAdd("image/jpeg, image/png, image/webp, image/gif, image/*;q=0.5");
        // A GET may be repeated. What was refused stays refused.
        _attempts = new ResiliencePipelineBuilder<ReadOnlyMemory<byte>>()
            .AddTimeout(_options.Timeout)
            .AddRetry(new RetryStrategyOptions<ReadOnlyMemory<byte>>
            {
                MaxRetryAttempts = 2, Delay = TimeSpan.FromMilliseconds(200), BackoffType = DelayBackoffType.Exponential, UseJitter = true,
                ShouldHandle = attempt => ValueTask.FromResult(attempt.Outcome.Exception is HttpRequestException { StatusCode: null or >= HttpStatusCode.InternalServerError or HttpStatusCode.TooManyRequests } failure && !GuardedClient.IsRefused(failure)),
            })
            .Build();
    }

    /// <summary>The bytes at an address, at most <see cref="PhotoLimits.MaxBytes"/>.</summary>
    /// <param name="url">The address as the caller wrote it.</param>
    /// <param name="aborted">The caller has gone.</param>
    /// <exception cref="ProblemException">Fetching is off, the address may not be fetched from, or nothing came.</exception>
    public async Task<ReadOnlyMemory<byte>> Fetch(string url, CancellationToken aborted)
    {
        if (!_options.Enabled)
            throw new ProblemException(ProblemTable.FetchDisabled, "This service does not fetch photos by their address.");
        if (url.Length > FetchOptions.MaxUrlLength || !Uri.TryCreate(url, UriKind.Absolute, out Uri? address) || address.Scheme is not ("http" or "https"))
            throw new ProblemException(ProblemTable.UrlRefused, $"A photo's address is an http or https URL of at most {FetchOptions.MaxUrlLength} characters.");
        if (address.UserInfo.Length > 0)
            throw new ProblemException(ProblemTable.UrlRefused, "The address holds a name or a password.");
        try
        {
            return await _attempts.ExecuteAsync(async cancellation => await Get(address, cancellation), aborted);
        }
        catch (Exception refused) when (GuardedClient.IsRefused(refused))
        {
            throw new ProblemException(ProblemTable.UrlRefused, "The address, or one that it leads to, is not public.");
        }
        catch (Exception failed) when (failed is HttpRequestException or SocketException)       // a name that cannot be resolved comes as the second
        {
            throw new ProblemException(ProblemTable.FetchFailed, failed is HttpRequestException { StatusCode: { } status } ? $"The photo's address answered with {(int)status}." : "The photo's address cannot be reached, or leads on too often.");
        }
        catch (Exception slow) when (slow is TimeoutRejectedException or IOException)
        {
            throw new ProblemException(ProblemTable.FetchFailed, $"The photo did not come whole within {_options.Timeout.TotalSeconds:0} seconds.");
        }
    }

    private async Task<ReadOnlyMemory<byte>> Get(Uri address, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await _client.GetAsync(address, HttpCompletionOption.ResponseHeadersRead, cancellation);
        response.EnsureSuccessStatusCode();
        if (response.Content.Headers.ContentLength > PhotoLimits.MaxBytes)
            throw TooManyBytes();
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
        return await RequestBody.ReadUpTo(body, PhotoLimits.MaxBytes, cancellation) ?? throw TooManyBytes();
    }

    private static ProblemException TooManyBytes() => new(ProblemTable.TooManyBytes, $"A photo may have {PhotoLimits.MaxBytes:N0} bytes, the one at this address has more.");

    public void Dispose() => _client.Dispose();
}
