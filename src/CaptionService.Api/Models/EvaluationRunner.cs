using System.Collections.Concurrent;
using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>
/// Evaluations, one at a time, each by the trainer's <c>evaluate</c> verb. A model's result on a split of a data set is kept:
/// both never change, so it is never computed twice.
/// </summary>
public sealed partial class EvaluationRunner(IDbContextFactory<CaptionDb> databases, ModelRegistry models, TrainerRunner trainers, IOptions<StorageOptions> storage,
    TimeProvider time, ILogger<EvaluationRunner> logger) : ITrainerWork
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);       // nothing is to be saved

    private readonly ConcurrentDictionary<string, TaskCompletionSource> _waiting = [];

    /// <inheritdoc />
    public int AtOnce => 1;

    /// <inheritdoc />
    public Signal Added { get; } = new();

    /// <summary>Adds an evaluation, or a comparison, to the queue.</summary>
    /// <exception cref="ProblemException">The data set is not there, not ready, or of another language.</exception>
    public async Task<Evaluation> Add(RegisteredModel model, RegisteredModel? other, string datasetId, string split, CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        Dataset dataset = await db.Datasets.AsNoTracking().SingleOrDefaultAsync(d => d.Id == datasetId, cancellation) ?? throw new ProblemException(ProblemTable.DatasetNotFound, "The member dataset is the id of none.");
        if (dataset.Status != DatasetStatus.Ready)
            throw new ProblemException(ProblemTable.DatasetNotReady, $"Its status is {dataset.Status.Name()}.");
        foreach (RegisteredModel? one in (RegisteredModel?[])[model, other])
        {
            if (one is not null && !Tokenizer.SameLanguage(one.Card.Language, dataset.Language))
                throw new ProblemException(ProblemTable.InvalidOption, $"{one.Reference} writes in '{one.Card.Language}', the data set is in '{dataset.Language}'.");
        }
        var evaluation = new Evaluation
        {
            Id = Ids.New(), Model = model.Reference, CompareModel = other?.Reference, DatasetId = datasetId, Split = split, State = EvaluationState.Queued, CreatedAt = time.GetUtcNow(),
        };
        db.Add(evaluation);
        await db.SaveChangesAsync(cancellation);
        Added.Raise();
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
                if (await db.Evaluations.AsNoTracking().SingleAsync(e => e.Id == id, cancellation) is { State: EvaluationState.Succeeded or EvaluationState.Failed } evaluation)
                {
                    _waiting.TryRemove(id, out _);
                    return evaluation;
                }
            }
            await ended.WaitAsync(cancellation);
        }
    }

    /// <summary>Queues again what a server that died left running, once captions are made: before that nothing is evaluated.</summary>
    public async Task Recover(CancellationToken stopping)
    {
        await models.Opened.WaitAsync(stopping);
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        await db.Evaluations.Where(e => e.State == EvaluationState.Running).ExecuteUpdateAsync(set => set.SetProperty(e => e.State, EvaluationState.Queued), stopping);
    }

    /// <inheritdoc />
    public async Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(stopping);
        Evaluation? next = await db.Evaluations.Where(e => e.State == EvaluationState.Queued).OrderBy(e => e.CreatedAt).ThenBy(e => e.Id).FirstOrDefaultAsync(stopping);
        if (next is not null)
        {
            next.State = EvaluationState.Running;
            await db.SaveChangesAsync(stopping);
            return new QueuedRun(next.Id, stop => Run(next, stop));
        }
        return null;
    }

    private async Task Run(Evaluation evaluation, CancellationToken stopping)
    {
        EvaluationState state = EvaluationState.Succeeded;
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
            state = EvaluationState.Queued;     // again after the restart
        }
        catch (Exception failure)
        {
            (state, error) = (EvaluationState.Failed, failure is ProblemException or EvaluationException ? failure.Message : "The service failed; its log says why.");
            Log.EvaluationFailed(logger, evaluation.Id, failure);
        }
        await using CaptionDb db = await databases.CreateDbContextAsync(CancellationToken.None);
        Evaluation row = await db.Evaluations.SingleAsync(e => e.Id == evaluation.Id, CancellationToken.None);
        (row.State, row.Result, row.Error) = (state, result, error);
        await db.SaveChangesAsync(CancellationToken.None);
        if (_waiting.TryRemove(evaluation.Id, out TaskCompletionSource? waiting))
            waiting.TrySetResult();
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
            TrainerEnd end = await trainers.Run(new TrainerRun(["evaluate", model.Folder, job, "--split", split, "--output", output], log, Grace), stopping);
            if (end.Outcome != TrainerOutcome.Succeeded)
            {
                stopping.ThrowIfCancellationRequested();
                throw new EvaluationException(end.Outcome == TrainerOutcome.DiskFull ? "The disk is full: make room and ask again." : end.Message(10));
            }
        }
        await using FileStream file = File.OpenRead(output);
        return (await JsonSerializer.DeserializeAsync<EvaluationResult>(file, TrainingEvent.Json, stopping))!;
    }

    private sealed class EvaluationException(string message) : Exception(message);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Evaluation {Id} failed")]
        public static partial void EvaluationFailed(ILogger logger, string id, Exception failure);
    }
}
