using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Tidies up uploads and deletions that a server's death broke off: before the server listens, and only where no other works
/// in the folder, since what is unsettled later is an upload under way. A settled folder without an entry is left alone: it
/// may belong to another database.
/// </summary>
internal sealed partial class DatasetSweep(IDbContextFactory<CaptionDb> databases, DataFolder held, DatasetImporter importer, IOptions<StorageOptions> storage, ILogger<DatasetSweep> logger) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!held.TryHold())
            return;
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellationToken);
        HashSet<string> known = [.. await db.Datasets.Select(dataset => dataset.Id).ToListAsync(cancellationToken)];
        foreach ((string id, bool unsettled) in importer.Folders().ToArray())
        {
            if (unsettled && known.Contains(id))
            {
                importer.Settle(id);
                Log.Settled(logger, id);
            }
            else if (unsettled)
            {
                importer.Delete(id);
                Log.Swept(logger, id);
            }
            else if (!known.Contains(id))
                Log.Unknown(logger, Path.Combine(storage.Value.Datasets, id));
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private static partial class Log
    {
        [LoggerMessage(3, LogLevel.Warning, "The folder {Folder} belongs to no data set of this database; it is left as it is")]
        public static partial void Unknown(ILogger logger, string folder);

        [LoggerMessage(4, LogLevel.Information, "A deletion or upload of data set {Id} was broken off: the database has it, and it stays")]
        public static partial void Settled(ILogger logger, string id);

        [LoggerMessage(5, LogLevel.Information, "A deletion or upload of data set {Id} was broken off: the database does not have it, and its folder is removed")]
        public static partial void Swept(ILogger logger, string id);
    }
}
