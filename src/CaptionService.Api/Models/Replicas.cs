using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Models;

/// <summary>
/// The servers that share the registry, behind a proxy: each follows what the others change, and with PostgreSQL says which
/// generation of the models it serves, so that an activation can be waited for.
/// </summary>
public sealed partial class Replicas(ModelRegistry registry, RegistryNews news, IDbContextFactory<CaptionDb> databases, TimeProvider time, ILogger<Replicas> logger) : BackgroundService
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5), s_live = TimeSpan.FromSeconds(15), s_patience = TimeSpan.FromSeconds(30);
    private const int LooksUntilAgain = 12;

    private readonly string _id = Ids.New();
    private volatile ReplicaResponse[] _known = [];
    private long _reported = -1;

    /// <summary>Those that lived at the last look, this one among them; empty where the database is a file.</summary>
    public IReadOnlyList<ReplicaResponse> Known => _known;

    /// <summary>Waits until the others serve what this one does, for half a minute.</summary>
    /// <returns>Those that do not, with the reason where they gave one.</returns>
    public async Task<IReadOnlyList<ReplicaResponse>> Behind(CancellationToken cancellation)
    {
        if (!news.Tells)
            return [];
        long wanted = registry.Generation, started = time.GetTimestamp();
        while (true)
        {
            Replica[] behind = [.. (await Live(cancellation)).Where(replica => replica.Id != _id && (replica.Generation < wanted || replica.Problem is not null))];
            if (behind.All(replica => replica.Generation >= wanted) || time.GetElapsedTime(started) > s_patience)
                return [.. behind.Select(Response)];
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancellation);
        }
    }

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await registry.Opened.WaitAsync(stoppingToken);
        bool heard = true;
        for (int look = 1; ; look++)
        {
            try
            {
                Task follow = registry.Follow(again: look % LooksUntilAgain == 0, stoppingToken);
                while (await Task.WhenAny(follow, Task.Delay(s_look, time, stoppingToken)) != follow)
                    await Report(stoppingToken);        // who loads a model for long is not gone: the others wait for it
                await follow;
                await Report(stoppingToken);
                heard = true;
            }
            catch (Exception failure) when (!stoppingToken.IsCancellationRequested)
            {
                // Without the database the models in memory go on answering.
                if (heard)
                    Log.CannotLook(logger, StorageProblems.Innermost(failure).Message);
                heard = false;
            }
            await news.Wait(s_look, stoppingToken);
        }
    }

    /// <inheritdoc />
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (_reported < 0)
            return;
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellationToken);
            await db.Replicas.Where(replica => replica.Id == _id).ExecuteDeleteAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is ObjectDisposedException || StorageProblems.Of(failure) is not null)
        {
            // The host is gone already, or the database: the others will see that nothing is heard of it.
        }
    }

    private async Task Report(CancellationToken cancellation)
    {
        if (!news.Tells)
            return;
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        DateTimeOffset now = time.GetUtcNow(), gone = now - 4 * s_live;
        await db.Replicas.Where(replica => replica.SeenAt < gone).ExecuteDeleteAsync(cancellation);
        Replica? own = await db.Replicas.FirstOrDefaultAsync(replica => replica.Id == _id, cancellation);
        if (own is null)
            db.Add(own = new Replica { Id = _id, Name = $"{Environment.MachineName}/{Environment.ProcessId}", Generation = 0, SeenAt = now });
        (own.Generation, own.Problem, own.SeenAt) = (registry.Generation, registry.Problem, now);
        await db.SaveChangesAsync(cancellation);
        if (own.Generation != _reported)
            await RegistryNews.Tell(db, cancellation);
        _reported = own.Generation;
        _known = [.. (await Live(cancellation)).Select(Response)];
    }

    private async Task<List<Replica>> Live(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        DateTimeOffset since = time.GetUtcNow() - s_live;
        return await db.Replicas.AsNoTracking().Where(replica => replica.SeenAt >= since).OrderBy(replica => replica.Name).ThenBy(replica => replica.Id).ToListAsync(cancellation);
    }

    private ReplicaResponse Response(Replica replica) =>
        new(replica.Name, replica.Id == _id, replica.Generation >= registry.Generation && replica.Problem is null, replica.Problem, replica.SeenAt);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "What other servers change cannot be seen: {Why}. The models in memory go on answering")]
        public static partial void CannotLook(ILogger logger, string why);
    }
}

/// <summary>A server that shares the registry.</summary>
/// <param name="Name">Machine and process.</param>
/// <param name="Self">Whether it is the one that answers.</param>
/// <param name="Current">Whether it serves the models that are active.</param>
/// <param name="Problem">Why it does not, where it could not; it goes on with what it had.</param>
/// <param name="SeenAt">When it was last heard of (UTC).</param>
public sealed record ReplicaResponse(string Name, bool Self, bool Current, string? Problem, DateTimeOffset SeenAt);
