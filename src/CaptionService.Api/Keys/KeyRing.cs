using System.Collections.Concurrent;
using System.Net;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Keys;

/// <summary>The service cannot start with the keys that there are; the message says what to do.</summary>
public sealed class KeysException(string message) : Exception(message);

/// <summary>A key that was shown and is good.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Scope">What it allows.</param>
internal sealed record KnownKey(string Id, string Name, Scope Scope);

/// <summary>
/// The keys in memory, so that no request waits for the database, and none fails with it. What another server or the command
/// line made or revoked counts within <see cref="Look"/>.
/// </summary>
public sealed partial class KeyRing(IDbContextFactory<CaptionDb> databases, IOptions<AuthOptions> options, TimeProvider time, ILogger<KeyRing> logger)
    : BackgroundService, IHostedLifecycleService
{
    private const string FirstId = "first-key";
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Precision = TimeSpan.FromMinutes(1);       // of LastUsedAt

    private readonly ConcurrentDictionary<string, DateTimeOffset> _used = [];
    private volatile Dictionary<string, ApiKey>? _keys;     // null until the database is open
    private volatile string? _exposed;                      // where the service listens for others
    private string? _first;                                 // hash of the first key; set before the server listens

    /// <summary>Whether callers must show a key: others can reach the service, or there is or was one.</summary>
    public bool Required => !options.Value.Disabled && (_exposed is not null || _first is not null || _keys is { Count: > 0 });

    /// <summary>The key of a text; null where there is none, or no longer.</summary>
    internal KnownKey? Find(string text)
    {
        DateTimeOffset now = time.GetUtcNow();
        ApiKey? key = KeyText.IdIn(text) is { } id ? _keys?.GetValueOrDefault(id) : null;
        if (KeyText.Matches(text, key?.Hash ?? KeyText.Decoy) && key is not null && key.IsValid(now))
        {
            _used[key.Id] = now;
            return new KnownKey(key.Id, key.Name, key.Scope);
        }
        return KeyText.Matches(text, _first ?? KeyText.Decoy) && _first is not null ? new KnownKey(FirstId, FirstId, Scope.Admin) : null;
    }

    /// <summary>The service is about to listen at an address.</summary>
    /// <exception cref="KeysException">Others can reach it, and there is no key.</exception>
    internal void Listens(EndPoint? at)
    {
        if (at is IPEndPoint { Address: var address } && !IPAddress.IsLoopback(address))
        {
            _exposed = at.ToString();
            RefuseOpenDoor();
        }
    }

    /// <summary>Reads the keys again, and writes down which were used.</summary>
    internal async Task Reload(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        foreach ((string id, DateTimeOffset at) in _used)
        {
            DateTimeOffset before = at - Precision;
            await db.ApiKeys.Where(key => key.Id == id && (key.LastUsedAt == null || key.LastUsedAt < before))
                .ExecuteUpdateAsync(key => key.SetProperty(k => k.LastUsedAt, at), cancellation);
            _used.TryRemove(new(id, at));
        }
        _keys = await db.ApiKeys.AsNoTracking().ToDictionaryAsync(key => key.Id, cancellation);
    }

    /// <summary>After the database was opened, before anything listens.</summary>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        string? first = options.Value.FirstKey;
        if (options.Value.FirstKeyFile is { Length: > 0 } file)
        {
            try
            {
                first = (await File.ReadAllTextAsync(file, cancellationToken)).Trim();
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw Refused($"The file of the first key (Auth:FirstKeyFile) cannot be read: {failure.Message}");
            }
        }
        if (!string.IsNullOrEmpty(first) || options.Value.FirstKeyFile is { Length: > 0 })
        {
            _first = first!.Length >= AuthOptions.FewestCharacters && first.All(c => c is > ' ' and < '\x7f') ? KeyText.Hash(first)
                : throw Refused($"The first key (Auth:FirstKey) must be {AuthOptions.FewestCharacters} or more printable ASCII characters, as `openssl rand -hex 32` writes them.");
        }
        await Reload(cancellationToken);
        RefuseOpenDoor();
    }

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Look, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await Reload(stoppingToken);
            }
            catch (Exception failure) when (!stoppingToken.IsCancellationRequested)
            {
                Log.NotRead(logger, StorageProblems.Innermost(failure).Message);       // those in memory go on counting
            }
        }
    }

    Task IHostedLifecycleService.StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedLifecycleService.StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedLifecycleService.StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private void RefuseOpenDoor()
    {
        if (_exposed is not { } address || _keys is not { } keys)
            return;
        if (options.Value.Disabled)
        {
            Log.Open(logger, address);
        }
        else if (_first is null && !keys.Values.Any(key => key.IsValid(time.GetUtcNow())))
        {
            throw Refused($"""
                The service is to listen on {address}, where others reach it, and there is no key to keep them out. Do one of these:
                - make a key: dotnet run --project src/CaptionService.Api -- keys create NAME --scope admin   (of the published program: dotnet CaptionService.Api.dll keys create NAME --scope admin)
                - give it a first key of your own: Auth:FirstKey, or Auth:FirstKeyFile for a mounted secret
                - listen on this machine only: ASPNETCORE_URLS=http://localhost:8080
                - let everybody do everything: Auth:Disabled=true
                """);
        }
    }

    private KeysException Refused(string why)
    {
        Log.Refused(logger, why);
        return new KeysException(why);
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Critical, "The service does not start. {Why}")]
        public static partial void Refused(ILogger logger, string why);

        [LoggerMessage(2, LogLevel.Warning, "Auth:Disabled: whoever reaches {Address} may do everything")]
        public static partial void Open(ILogger logger, string address);

        [LoggerMessage(3, LogLevel.Warning, "The keys cannot be read, those in memory count: {Why}")]
        public static partial void NotRead(ILogger logger, string why);
    }
}
