using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Options;

namespace CaptionService.Api;

/// <summary>How much is answered in a minute: section <c>RateLimits</c> of the configuration, or <c>RateLimits__Name</c> in the environment. 0: as much as comes.</summary>
public sealed class RateLimitOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "RateLimits";

    /// <summary>Requests of one key.</summary>
    [Range(0, 1_000_000)]
    public int RequestsPerKey { get; init; }

    /// <summary>Photos of one key.</summary>
    [Range(0, 1_000_000)]
    public int PhotosPerKey { get; init; }

    /// <summary>Requests from one address, those without a good key too.</summary>
    [Range(0, 1_000_000)]
    public int RequestsPerAddress { get; init; }

    /// <summary>Photos from one address.</summary>
    [Range(0, 1_000_000)]
    public int PhotosPerAddress { get; init; }
}

/// <summary>
/// Limits of requests and photos a minute: a bucket for each key and address that fills up steadily. What guards nothing (health,
/// pages) is not counted.
/// </summary>
public sealed class RateLimits : IDisposable
{
    private readonly Limit[] _requests;
    private readonly Limit[] _photos;
    private readonly PartitionedRateLimiter<HttpContext>? _allRequests;

    /// <summary>Takes the settings.</summary>
    public RateLimits(IOptions<RateLimitOptions> options)
    {
        ArgumentNullException.ThrowIfNull(options);
        RateLimitOptions most = options.Value;
        _requests = Limits(("requests-per-address", most.RequestsPerAddress, Scopes.From), ("requests-per-key", most.RequestsPerKey, Key));
        _photos = Limits(("photos-per-address", most.PhotosPerAddress, Scopes.From), ("photos-per-key", most.PhotosPerKey, Key));
        _allRequests = _requests.Length > 0 ? PartitionedRateLimiter.CreateChained([.. _requests.Select(limit => limit.Limiter)]) : null;
    }

    /// <summary>Takes photos from the caller's buckets; more than a bucket holds take all of it.</summary>
    /// <exception cref="ProblemException">There are not so many left.</exception>
    internal void TakePhotos(HttpContext http, int photos)
    {
        foreach (Limit limit in _photos)
        {
            using RateLimitLease lease = limit.Limiter.AttemptAcquire(http, Math.Min(photos, limit.Most));
            if (!lease.IsAcquired)
                throw Refused(lease);
        }
    }

    /// <inheritdoc />
    public void Dispose()
    {
        _allRequests?.Dispose();
        Array.ForEach([.. _requests, .. _photos], limit => limit.Limiter.Dispose());
    }

    /// <summary>Has ASP.NET Core's limiter count requests, and refuse as everything here is refused.</summary>
    internal void Configure(RateLimiterOptions limiter)
    {
        limiter.GlobalLimiter = _allRequests;
        limiter.OnRejected = (context, _) => throw Refused(context.Lease);
    }

    /// <summary>Tells the caller, in the answer's headers, what is left.</summary>
    internal void Announce(HttpContext http)
    {
        Limit[] limits = [.. _requests, .. _photos];
        if (limits.Length > 0 && IsLimited(http))
        {
            http.Items[typeof(RateLimits)] = true;      // a refusal loses its endpoint on the way out
            http.Response.OnStarting(() =>
            {
                http.Response.Headers["RateLimit-Policy"] = string.Join(", ", limits.Select(limit => string.Create(CultureInfo.InvariantCulture, $"\"{limit.Name}\";q={limit.Most};w=60")));
                http.Response.Headers["RateLimit"] = string.Join(", ", limits.Select(limit =>
                    string.Create(CultureInfo.InvariantCulture, $"\"{limit.Name}\";r={limit.Limiter.GetStatistics(http)?.CurrentAvailablePermits ?? limit.Most}")));
                return Task.CompletedTask;
            });
        }
    }

    private static ProblemException Refused(RateLimitLease lease) => new(ProblemTable.RateLimited, "More came in the last minute than the RateLimit headers allow.",
        lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : null);

    private static Limit[] Limits(params (string Name, int Most, Func<HttpContext, string> Of)[] limits) => [.. limits.Where(limit => limit.Most > 0).Select(limit =>
        new Limit(limit.Name, limit.Most, PartitionedRateLimiter.Create<HttpContext, string>(http => !IsLimited(http) ? RateLimitPartition.GetNoLimiter("")
            : RateLimitPartition.GetTokenBucketLimiter(limit.Of(http), _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = limit.Most,
                TokensPerPeriod = 1,
                ReplenishmentPeriod = TimeSpan.FromMinutes(1) / limit.Most,
                QueueLimit = 0,
            }))))];

    private static bool IsLimited(HttpContext http) => http.Items.ContainsKey(typeof(RateLimits)) || http.GetEndpoint()?.Metadata.GetMetadata<NeededScope>() is not null;

    private static string Key(HttpContext http) => http.KeyId() ?? http.From();

    private sealed record Limit(string Name, int Most, PartitionedRateLimiter<HttpContext> Limiter);
}

/// <summary>Registers the limits.</summary>
public static class RateLimitsApi
{
    /// <summary>Adds them as the configuration sets them; by default there are none.</summary>
    public static IServiceCollection AddRateLimits(this IServiceCollection services)
    {
        services.AddOptions<RateLimitOptions>().BindConfiguration(RateLimitOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<RateLimits>();
        services.AddOptions<RateLimiterOptions>().Configure((RateLimiterOptions limiter, RateLimits limits) => limits.Configure(limiter));
        return services.AddRateLimiter(_ => { });
    }

    /// <summary>Counts requests, once it is known who calls.</summary>
    public static void UseRateLimits(this WebApplication app)
    {
        app.Use(static (context, next) =>
        {
            context.RequestServices.GetRequiredService<RateLimits>().Announce(context);
            return next(context);
        });
        app.UseRateLimiter();
    }
}
