using System.Collections.Concurrent;
using System.Text.Json;
using System.Threading.Channels;
using CaptionService.Api.TrainingJobs;
using CaptionService.Captioning.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Has new data sets looked through, one at a time, by a trainer process of low priority: photos from strangers are never
/// decoded in here. What a stop of the server interrupts is begun again at its next start.
/// </summary>
internal sealed partial class DatasetInspector(IDbContextFactory<CaptionDb> databases, DataFolder held, DatasetImporter importer, IOptions<StorageOptions> storage, IOptions<DatasetsOptions> options,
    IOptions<TrainingSettings> training, TimeProvider time, ILogger<DatasetInspector> logger) : BackgroundService
{
    private const int KeptErrorLines = 20;
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(5);

    private readonly Channel<string> _waiting = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _dropped = [];

    /// <summary>Has a data set looked through soon.</summary>
    public void Add(string id) => _waiting.Writer.TryWrite(id);

    /// <summary>Stops looking through a data set that is being deleted.</summary>
    public void Drop(string id) => _dropped.GetValueOrDefault(id)?.Cancel();

    // Before the server listens, and only where no other works in the folder: what is unsettled later is an upload under way.
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (held.TryHold())
        {
            await Sweep(cancellationToken);
        }
        await base.StartAsync(cancellationToken);
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(Recover(stoppingToken), Work(stoppingToken));

    private async Task Work(CancellationToken stoppingToken)
    {
        await foreach (string id in _waiting.Reader.ReadAllAsync(stoppingToken))
        {
            await Guarded(id, stoppingToken);
        }
    }

    // Whatever happens with one data set, the next one has its turn.
    private async Task Guarded(string id, CancellationToken stopping)
    {
        try
        {
            await Inspect(id, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception failure)
        {
            Log.Failed(logger, id, failure);
        }
    }

    // Uploads and deletions that a server's death broke off. A settled folder without an entry is left alone: it may belong to another database.
    private async Task Sweep(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        HashSet<string> known = [.. await db.Datasets.Select(dataset => dataset.Id).ToListAsync(stopping)];
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
            {
                Log.Unknown(logger, Path.Combine(storage.Value.Datasets, id));
            }
        }
    }

    // What another server of this folder had not finished checking is checked again, once that server is gone.
    private async Task Recover(CancellationToken stopping)
    {
        await held.Hold(time, stopping);
        while (true)
        {
            try
            {
                await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
                foreach (string id in await db.Datasets.Where(dataset => dataset.Status == DatasetStatus.Checking).OrderBy(dataset => dataset.CreatedAt).Select(dataset => dataset.Id).ToListAsync(stopping))
                {
                    Add(id);
                }
                return;
            }
            catch (Exception failure) when (StorageApi.Problem(failure) is not null)
            {
                Log.CannotRead(logger, failure);
                await Task.Delay(AfterFailure, time, stopping);
            }
        }
    }

    private async Task Inspect(string id, CancellationToken stopping)
    {
        using var dropped = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _dropped[id] = dropped;
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
            if (await db.Datasets.FindAsync([id], stopping) is not { Status: DatasetStatus.Checking } dataset)
            {
                return;
            }
            string folder = Path.Combine(storage.Value.Datasets, id);
            (int exit, string log) = await Run(folder, dropped.Token);
            string file = Path.Combine(folder, DatasetFolder.Report);
            if (exit == TrainerExit.Succeeded && JsonSerializer.Deserialize<DatasetReport>(await File.ReadAllBytesAsync(file, dropped.Token), TrainingEvent.Json) is { } report)
            {
                dataset.Report = JsonSerializer.Serialize(report, TrainingEvent.Json);
                dataset.Photos = report.Photos.Usable;
                dataset.Captions = report.Captions.Usable;
                (dataset.TrainPhotos, dataset.DevPhotos) = (report.Splits.Train, report.Splits.Dev);
                dataset.Status = report.Verdict == FindingSeverity.Error ? DatasetStatus.Refused : DatasetStatus.Ready;
                dataset.Problem = report.Verdict == FindingSeverity.Error ? report.Findings[0].Message : null;
            }
            else
            {
                Log.Broke(logger, id, exit, log);
                dataset.Status = DatasetStatus.Refused;
                dataset.Problem = "The inspection broke off. Take out files that are no photos and send the data set again; the server's log says more.";
            }
            dataset.Bytes = new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
            // Deleted meanwhile: nothing to say any more.
            if (await db.Datasets.AnyAsync(d => d.Id == id, stopping))
            {
                await db.SaveChangesAsync(stopping);
            }
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            // Deleted meanwhile.
        }
        finally
        {
            _dropped.TryRemove(id, out _);
        }
    }

    private async Task<(int Exit, string Log)> Run(string folder, CancellationToken cancellation)
    {
        string[] estimate = options.Value.Estimate ? [] : ["--no-estimate"];
        string log = Path.Combine(storage.Value.Temporary, $"{Path.GetFileName(folder)}.inspect.log");
        try
        {
            using TrainerProcess trainer = TrainerProcess.Start(["inspect", folder, "--attached", .. estimate], log, training.Value);
            try
            {
                int exit = await trainer.Ended(cancellation);
                return (exit, string.Join('\n', await TrainerProcess.LastLines(log, KeptErrorLines, cancellation)));
            }
            finally
            {
                // The folder may be deleted next: not before the trainer is out of it.
                trainer.Kill();
                await trainer.Ended(CancellationToken.None);
            }
        }
        finally
        {
            File.Delete(log);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "The inspection of data set {Id} failed")]
        public static partial void Failed(ILogger logger, string id, Exception exception);

        [LoggerMessage(3, LogLevel.Warning, "The folder {Folder} belongs to no data set of this database; it is left as it is")]
        public static partial void Unknown(ILogger logger, string folder);

        [LoggerMessage(4, LogLevel.Information, "A deletion or upload of data set {Id} was broken off: the database has it, and it stays")]
        public static partial void Settled(ILogger logger, string id);

        [LoggerMessage(5, LogLevel.Information, "A deletion or upload of data set {Id} was broken off: the database does not have it, and its folder is removed")]
        public static partial void Swept(ILogger logger, string id);

        [LoggerMessage(6, LogLevel.Error, "The data sets that wait for their inspection cannot be read")]
        public static partial void CannotRead(ILogger logger, Exception failure);

        [LoggerMessage(2, LogLevel.Error, "The inspection of data set {Id} left with {Exit}: {Log}")]
        public static partial void Broke(ILogger logger, string id, int exit, string log);
    }
}
