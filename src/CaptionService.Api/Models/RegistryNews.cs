using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace CaptionService.Api.Models;

/// <summary>Word of changes from the servers that share the registry: at once through PostgreSQL's LISTEN and NOTIFY, which is lost
/// where a connection breaks, so who waits also looks by itself from time to time.</summary>
public sealed class RegistryNews(IConfiguration configuration, IOptions<StorageOptions> storage, TimeProvider time) : IAsyncDisposable
{
    private const string Channel = "captionservice_registry";

    private NpgsqlConnection? _listening;

    /// <summary>Whether the database can tell.</summary>
    public bool Tells => storage.Value.Database == "postgres";

    /// <summary>Tells the others, once the transaction is committed.</summary>
    public static async Task Tell(CaptionDb db, CancellationToken cancellation)
    {
        if (db.Database.IsNpgsql())
            await db.Database.ExecuteSqlRawAsync($"NOTIFY {Channel}", cancellation);
    }

    /// <summary>Waits for word of a change, at most so long.</summary>
    public async Task Wait(TimeSpan atMost, CancellationToken cancellation)
    {
        if (!Tells)
        {
            await Task.Delay(atMost, time, cancellation);
            return;
        }
        try
        {
            _listening ??= await StorageApi.OpenConnection(configuration, $"LISTEN {Channel}", cancellation);
            await _listening.WaitAsync(atMost, cancellation);
        }
        catch (Exception) when (!cancellation.IsCancellationRequested)
        {
            // The database is away, however the connection says so. It is asked for again at the next wait.
            await DisposeAsync();
            await Task.Delay(atMost, time, cancellation);
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _listening, null) is { } listening)
            await listening.DisposeAsync();
    }
}
