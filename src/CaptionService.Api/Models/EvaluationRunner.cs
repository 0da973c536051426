using System.Collections.Concurrent;
using System.Text.Json;
using CaptionService.Api.Datasets;
using CaptionService.Api.TrainingJobs;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>
/// Works off evaluations, one at a time, each by the trainer's <c>evaluate</c> verb in a process last in line for the
/// processor. A model's result on a split of a data set is kept: both never change, so it is never computed twice.
/// </summary>
public sealed partial class EvaluationRunner(IDbContextFactory<CaptionDb> databases, DataFolder held, ModelRegistry models, IHostApplicationLifetime lifetime, IOptions<StorageOptions> storage,
    IOptions<TrainingSettings> settings, TimeProvider time, ILogger<EvaluationRunner> logger) : BackgroundService
{
    /// <summary>States of an evaluation.</summary>
    internal const string Queued = "queued", Running = "running", Succeeded = "succeeded", Failed = "failed";

    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);        // for what another server of this folder was asked
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _added = new(0);
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _waiting = [];

    /// <summary>Adds an evaluation, or a comparison, to the queue.</summary>
    /// <exception cref="ProblemException">The data set is not there, not ready, or of another language.</exception>
    public async Task<Evaluation> Add(RegisteredModel model, RegisteredModel? other, string datasetId, string split, CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        Dataset dataset = await db.Datasets.AsNoTracking().SingleOrDefaultAsync(d => d.Id == datasetId, cancellation) ?? throw new ProblemException(ProblemTable.DatasetNotFound, "The member dataset is the id of none.");
        if (dataset.Status != "ready")
        {
            throw new ProblemException(ProblemTable.DatasetNotReady, $"Its status is {dataset.Status}.");
        }
        foreach (RegisteredModel? one in (RegisteredModel?[])[model, other])
        {
            if (one is not null && !Tokenizer.SameLanguage(one.Card.Language, dataset.Language))
            {
                throw new ProblemException(ProblemTable.InvalidOption, $"{one.Reference} writes in '{one.Card.Language}', the data set is in '{dataset.Language}'.");
            }
        }
        var evaluation = new Evaluation
        {
            Id = Ids.New(), Model = model.Reference, CompareModel = other?.Reference, DatasetId = datasetId, Split = split, State = Queued, CreatedAt = time.GetUtcNow(),
        };
        db.Add(evaluation);
        await db.SaveChangesAsync(cancellation);
        _added.Release();
        return evaluation;
    }

    /// <summary>Waits for the end of an evaluation that was added.</summary>
    public async Task<Evaluation> Finished(string id, CancellationToken cancellation)
    {
        while (true)
        {
            Task ended = _waiting.GetOrAdd(id, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            await using (CaptionDb db = await databases.CreateDbContextAsync(cancellation))
            {
                if (await db.Evaluations.AsNoTracking().SingleAsync(e => e.Id == id, cancellation) is { State: Succeeded or Failed } evaluation)
                {
                    _waiting.TryRemove(id, out _);
                    return evaluation;
                }
            }
            await ended.WaitAsync(cancellation);
        }
    }

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping);
        CancellationToken stopping = stop.Token;
        bool recovered = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (!recovered)
                {
                    await held.Hold(time, stopping);
                    await Recover(stopping);
                    recovered = true;
                }
                while (await Next(stopping) is { } evaluation)
                {
                    await Run(evaluation, stopping);
                }
                await _added.WaitAsync(Look, stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                Log.CannotWork(logger, failure);
                await Task.WhenAny(Task.Delay(AfterFailure, time, stopping));
            }
        }
    }

    // A server that died left them running.
    private async Task Recover(CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        await db.Evaluations.Where(e => e.State == Running).ExecuteUpdateAsync(set => set.SetProperty(e => e.State, Queued), stopping);
    }

    private async Task<Evaluation?> Next(CancellationToken stopping)
    {
        if (models.Default is null)
        {
            // Nothing is evaluated before captions are made.
            await Task.Delay(TimeSpan.FromMilliseconds(200), time, stopping);
            _added.Release();
            return null;
        }
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        Evaluation? next = await db.Evaluations.Where(e => e.State == Queued).OrderBy(e => e.CreatedAt).ThenBy(e => e.Id).FirstOrDefaultAsync(stopping);
        if (next is not null)
        {
            next.State = Running;
            await db.SaveChangesAsync(stopping);
        }
        return next;
    }

    private async Task Run(Evaluation evaluation, CancellationToken stopping)
    {
        string state = Succeeded;
        string? result = null, error = null;
        try
        {
            EvaluationResult one = await Evaluate(models.Find(evaluation.Model), evaluation.DatasetId, evaluation.Split, stopping);
            result = evaluation.CompareModel is { } second
                ? JsonSerializer.Serialize(Comparison.Of(evaluation.Model, one, second, await Evaluate(models.Find(second), evaluation.DatasetId, evaluation.Split, stopping)), TrainingEvent.Json)
                : JsonSerializer.Serialize(one with { Items = [] }, TrainingEvent.Json);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            state = Queued;     // again after the restart
        }
        catch (Exception failure)
        {
            (state, error) = (Failed, failure is ProblemException or EvaluationException ? failure.Message : "The service failed; its log says why.");
            Log.EvaluationFailed(logger, evaluation.Id, failure);
        }
        await using CaptionDb db = await databases.CreateDbContextAsync(CancellationToken.None);
        Evaluation row = await db.Evaluations.SingleAsync(e => e.Id == evaluation.Id, CancellationToken.None);
        (row.State, row.Result, row.Error) = (state, result, error);
        await db.SaveChangesAsync(CancellationToken.None);
        if (_waiting.TryRemove(evaluation.Id, out TaskCompletionSource? waiting))
        {
            waiting.TrySetResult();
        }
    }

    private async Task<EvaluationResult> Evaluate(RegisteredModel model, string datasetId, string split, CancellationToken stopping)
    {
        string folder = Path.Combine(storage.Value.Evaluations, $"{model.Card.Digest[..32]}-{datasetId}-{split}");
        string job = Path.Combine(folder, "job.json"), output = Path.Combine(folder, "result.json"), log = Path.Combine(folder, "log.txt");
        if (!File.Exists(output))
        {
            Directory.CreateDirectory(folder);
            File.Delete(log);
            await File.WriteAllBytesAsync(job, JsonSerializer.SerializeToUtf8Bytes(new JobFile
            {
                Name = model.Card.Name,
                Language = model.Card.Language,
                Data = [DatasetFolder.Paths(Path.Combine(storage.Value.Datasets, datasetId))],
                Features = storage.Value.Features,
            }, JobFile.Json), stopping);
            await Start(["evaluate", model.Folder, job, "--split", split, "--output", output, "--attached"], log, stopping);
        }
        await using FileStream file = File.OpenRead(output);
        return (await JsonSerializer.DeserializeAsync<EvaluationResult>(file, TrainingEvent.Json, stopping))!;
    }

    private async Task Start(IReadOnlyList<string> arguments, string log, CancellationToken stopping)
    {
        using TrainerProcess trainer = TrainerProcess.Start(arguments, log, settings.Value);
        Task<int> ended = trainer.Ended(CancellationToken.None);
        await Task.WhenAny(ended, Task.Delay(Timeout.InfiniteTimeSpan, time, stopping));
        if (!ended.IsCompleted)
        {
            trainer.Stop();         // nothing is to be saved: killed at the end of this method where it does not leave at once
            await Task.WhenAny(ended, Task.Delay(TimeSpan.FromSeconds(2), time, CancellationToken.None));
            stopping.ThrowIfCancellationRequested();
        }
        if (await ended is not TrainerExit.Succeeded and int code)
        {
            stopping.ThrowIfCancellationRequested();
            throw new EvaluationException(code == TrainerExit.DiskFull ? "The disk is full: make room and ask again." : $"The trainer ended with {code}. Its last lines:\n{string.Join('\n', await TrainerProcess.LastLines(log, 10, CancellationToken.None))}");
        }
    }

    /// <inheritdoc />
    public override void Dispose()
    {
        _added.Dispose();
        base.Dispose();
    }

    private sealed class EvaluationException(string message) : Exception(message);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Evaluation {Id} failed")]
        public static partial void EvaluationFailed(ILogger logger, string id, Exception failure);

        [LoggerMessage(2, LogLevel.Error, "The queue of evaluations cannot be worked off")]
        public static partial void CannotWork(ILogger logger, Exception failure);
    }
}
