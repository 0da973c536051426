using System.Collections.Concurrent;
using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Captioning.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Has new data sets looked through, one at a time, by the trainer's <c>inspect</c> verb: photos from strangers are never
/// decoded in the server. What a stop of the server interrupts is begun again at its next start.
/// </summary>
internal sealed partial class DatasetInspector(IDbContextFactory<CaptionDb> databases, TrainerRunner trainers, IOptions<StorageOptions> storage, IOptions<DatasetsOptions> options,
    ILogger<DatasetInspector> logger) : ITrainerWork
{
    private const int MaxCrashes = 3;       // killed it may have been by chance; then the data set is what crashes it

    private readonly ConcurrentQueue<string> _waiting = [];
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _dropped = [];

    /// <inheritdoc />
    public int AtOnce => 1;

    /// <inheritdoc />
    public Signal Added { get; } = new();

    /// <summary>Has a data set looked through soon.</summary>
    public void Add(string id)
    {
        _waiting.Enqueue(id);
        Added.Raise();
    }

    /// <summary>Stops looking through a data set that is being deleted.</summary>
    public void Drop(string id) => _dropped.GetValueOrDefault(id)?.Cancel();

    /// <summary>Checks again what a server that is gone had not finished checking.</summary>
    public async Task Recover(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        foreach (string id in await db.Datasets.Where(dataset => dataset.Status == DatasetStatus.Checking).OrderBy(dataset => dataset.CreatedAt).Select(dataset => dataset.Id).ToListAsync(stopping))
            _waiting.Enqueue(id);
    }

    /// <inheritdoc />
    public Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping) =>
        Task.FromResult(_waiting.TryDequeue(out string? id) ? new QueuedRun(id, stop => Inspect(id, stop)) : null);

    private async Task Inspect(string id, CancellationToken stopping)
    {
        using var dropped = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _dropped[id] = dropped;
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
            if (await db.Datasets.FindAsync([id], stopping) is not { Status: DatasetStatus.Checking } dataset)
                return;
            string folder = Path.Combine(storage.Value.Datasets, id);
            TrainerEnd end = await Run(folder, dropped.Token);
            for (int crashes = 1; end.Outcome == TrainerOutcome.Crashed && crashes < MaxCrashes; crashes++)
                end = await Run(folder, dropped.Token);
            string file = Path.Combine(folder, DatasetFolder.Report);
            if (end.Outcome == TrainerOutcome.Succeeded && JsonSerializer.Deserialize<DatasetReport>(await File.ReadAllBytesAsync(file, dropped.Token), TrainingEvent.Json) is { } report)
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
                Log.Broke(logger, id, end.Code, string.Join('\n', end.LastLines));
                dataset.Status = DatasetStatus.Refused;
                dataset.Problem = "The inspection broke off. Take out files that are no photos and send the data set again; the server's log says more.";
            }
            dataset.Bytes = new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
            // Deleted meanwhile: nothing to say any more.
            if (await db.Datasets.AnyAsync(d => d.Id == id, stopping))
                await db.SaveChangesAsync(stopping);
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

    private async Task<TrainerEnd> Run(string folder, CancellationToken cancellation)
    {
        string[] estimate = options.Value.Estimate ? [] : ["--no-estimate"];
        string log = Path.Combine(storage.Value.Temporary, $"{Path.GetFileName(folder)}.inspect.log");
        try
        {
            // Killed at once when it is to stop: nothing is to be saved, and the folder may be deleted next.
            TrainerEnd end = await trainers.Run(new TrainerRun(["inspect", folder, .. estimate], log, Grace: TimeSpan.Zero), cancellation);
            cancellation.ThrowIfCancellationRequested();
            return end;
        }
        finally
        {
            File.Delete(log);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(2, LogLevel.Error, "The inspection of data set {Id} left with {Exit}: {Log}")]
        public static partial void Broke(ILogger logger, string id, int exit, string log);
    }
}
