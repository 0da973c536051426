using System.Diagnostics;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Torch;
using Microsoft.Extensions.Options;
using Polly;
using Polly.Retry;

namespace CaptionService.Api.Captions;

/// <summary>Captions one batch: as many lists as jobs, in their order.</summary>
public delegate CaptionedBatch CaptionBatch(IReadOnlyList<CaptionJob> jobs);

/// <summary>What stands between the worker and <see cref="Captioner.Caption"/>; by default nothing.</summary>
public delegate CaptionBatch CaptionBatchWrapper(CaptionBatch caption);

/// <summary>
/// The one that runs the models: answers batch after batch on a thread of its own, each photo with the models that its
/// request took when it came, so a swap between two batches needs nothing here.
/// </summary>
public sealed partial class CaptionWorker : BackgroundService, IHostedLifecycleService
{
    // A 1×1 PNG: the warm-up needs a photo, not a picture.
    private static readonly byte[] WarmUpPhoto = Convert.FromBase64String(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC");

    private readonly CaptionQueue _queue;
    private readonly ModelRegistry _models;
    private readonly Readiness _readiness;
    private readonly Heartbeat _heartbeat;
    private readonly CaptionMetrics _metrics;
    private readonly CaptioningOptions _options;
    private readonly CaptionBatch _caption, _captionBehind;
    private readonly TimeProvider _time;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger<CaptionWorker> _logger;

    // The worker's thread only.
    private readonly ResiliencePipeline _halving;
    private int _partSize;

    /// <summary>Takes what the container has.</summary>
    public CaptionWorker(CaptionQueue queue, ModelRegistry models, Readiness readiness, Heartbeat heartbeat, CaptionMetrics metrics, IOptions<CaptioningOptions> options,
        CaptionBatchWrapper wrapper, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<CaptionWorker> logger)
    {
        (_queue, _models, _readiness, _heartbeat, _metrics, _options) = (queue, models, readiness, heartbeat, metrics, options.Value);
        (_caption, _captionBehind) = (wrapper(jobs => Captioner.Caption(jobs)), wrapper(jobs => Captioner.Caption(jobs, LetPass)));
        (_time, _lifetime, _logger) = (time, lifetime, logger);
        _halving = new ResiliencePipelineBuilder()
            .AddRetry(new RetryStrategyOptions
            {
                Name = "halve on out of memory",
                MaxRetryAttempts = int.MaxValue,    // ends by itself: a single photo is not halved
                Delay = TimeSpan.Zero,
                ShouldHandle = attempt => ValueTask.FromResult(attempt.Outcome.Exception is { } failure && IsOutOfMemory(failure) && _partSize > 1),
                OnRetry = _ =>
                {
                    _partSize = (_partSize + 1) / 2;
                    Log.Halved(_logger, _partSize);
                    return default;
                },
            })
            .Build();
    }

    /// <inheritdoc />
    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.Factory.StartNew(() => Run(stoppingToken), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Waits for the thread: a server whose start was refused would else end the process under libtorch's feet, which loads the models.</summary>
    public override void Dispose()
    {
        base.Dispose();
        ExecuteTask?.Wait(TimeSpan.FromMinutes(1));
    }

    /// <summary>First step of the shutdown, the server still listening: ready turns 503, then what was accepted is answered.</summary>
    public Task StoppingAsync(CancellationToken cancellationToken) => _readiness.Drain(cancellationToken);

    Task IHostedLifecycleService.StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedLifecycleService.StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedLifecycleService.StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private void Run(CancellationToken stopping)
    {
        try
        {
            long started = _time.GetTimestamp();
            Activity.Current = null;        // a batch belongs to no trace but its own
            TorchRuntime.Configure();
            // Blocking is right here and below: the thread is the worker's own.
            ModelHold[] first = _models.Open(_options.ModelFolder, stopping).GetAwaiter().GetResult();
            try
            {
                // Past what tests put round the models: nobody waits for these captions.
                Photo photo = Photo.Decode(WarmUpPhoto);
                foreach (IGrouping<object, LoadedModel> seeing in first.Select(hold => hold.Model).GroupBy(model => model.Encoder))
                    Captioner.Caption([.. seeing.Select(model => model.Job(photo, new CaptionOptions()))]);
                _readiness.Ready();
                Log.Ready(_logger, string.Join(", ", first.Select(hold => $"{hold.Model.Card.Name}@{hold.Model.Card.Version}")), _time.GetElapsedTime(started).TotalSeconds);
            }
            finally
            {
                Array.ForEach(first, hold => hold.Dispose());
            }
            while (true)
                Answer(_queue.NextBatch(stopping).GetAwaiter().GetResult());
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            // Without a model there is no service: say why and let the orchestrator see the exit code.
            Log.CannotServe(_logger, _options.ModelFolder, failure);
            Environment.ExitCode = 1;
            _lifetime.StopApplication();
        }
    }

    // Between two layers, and two words, of a batch that waited behind: who came meanwhile does not wait for its end.
    private void LetPass()
    {
        int partSize = _partSize;
        while (_queue.TryNextBatch() is { } batch)
            Answer(batch);
        _partSize = partSize;
    }

    // An encoder pass for each encoder, whatever the models that see with it.
    private void Answer(CaptionEntry[] batch)
    {
        List<LoadedModel> held = [.. batch.SelectMany(entry => entry.Models).Distinct().Where(model => model.TryHold())];
        try
        {
            var work = batch.Where(entry => entry.Models.All(held.Contains))       // of the others, every request that held the model is gone
                .SelectMany(entry => entry.Models, (entry, model) => new Work(entry, model));
            foreach (IGrouping<object, Work> seen in work.GroupBy(work => work.Model.Encoder))
                Answer([.. seen.GroupBy(work => work.Entry, (_, its) => its.ToArray())]);
        }
        finally
        {
            held.ForEach(model => model.Release());
        }
    }

    /// <summary>Answers photos, each with what its models are to do with it.</summary>
    private void Answer(Work[][] photos)
    {
        _partSize = photos.Length;
        for (int next = 0; next < photos.Length;)
        {
            Work[][] Part() => photos[next..Math.Min(next + _partSize, photos.Length)];
            try
            {
                _halving.Execute(() => Caption([.. Part().SelectMany(its => its)]));
            }
            catch (Exception failure)
            {
                Fail([.. Part().SelectMany(its => its)], failure);
            }
            next += Part().Length;
        }
    }

    // Which of several models failed is not told: each is tried alone, so that none fails another's photos.
    private void Fail(Work[] part, Exception failure)
    {
        if (part.Select(work => work.Model).Distinct().Skip(1).Any())
        {
            foreach (IGrouping<LoadedModel, Work> its in part.GroupBy(work => work.Model))
            {
                try
                {
                    Caption([.. its]);
                }
                catch (Exception alone)
                {
                    Fail([.. its], alone);
                }
            }
            return;
        }
        ProblemException problem = IsOutOfMemory(failure)
            ? new(ProblemTable.OutOfMemory, "The device has not enough memory for a single photo with these options.")
            : new(ProblemTable.Internal, "The model failed on the batch that this photo was in.");
        int failed = part.Count(work => work.Entry.Fail(problem));
        _metrics.Failed(failed, problem.Kind);
        Log.BatchFailed(_logger, part.Length, failure);
    }

    private void Caption(Work[] part)
    {
        long started = _time.GetTimestamp();
        CaptionedBatch captioned = Traced(part);
        if (captioned.Photos.Count != part.Length)
            throw new UnreachableException($"{part.Length} photos went into the models, captions of {captioned.Photos.Count} came out.");
        var answers = new List<(CaptionEntry Entry, CaptionAnswer Answer)>();
        for (int i = 0; i < part.Length; i++)
        {
            CaptionEntry entry = part[i].Entry;
            if (entry.Add(part[i].Model, captioned.Photos[i], _time.GetElapsedTime(entry.AcceptedAt, started), captioned) is { } answer)
            {
                if (!entry.Behind)
                    _metrics.Queued(answer.Queued);
                answers.Add((entry, answer));
            }
        }
        _metrics.Captioned(captioned, answers.Count, part[0].Entry.Behind);       // before its callers know
        answers.ForEach(ready => ready.Entry.Answer(ready.Answer));
    }

    // The span of a batch starts a trace, since a batch has many callers: it links theirs.
    private CaptionedBatch Traced(Work[] part)
    {
        using Activity? span = !CaptionTrace.Source.HasListeners() ? null
            : CaptionTrace.Source.StartActivity(CaptionTrace.Batch, ActivityKind.Internal, parentContext: default,
                tags: [new("caption.batch.size", part.Select(work => work.Entry).Distinct().Count())],
                links: part.Select(work => work.Entry.Request).Where(request => request != default).Distinct().Select(request => new ActivityLink(request)));
        try
        {
            CaptionBatch caption = part[0].Entry.Behind ? _captionBehind : _caption;
            return _heartbeat.Watch(() => caption([.. part.Select(work => work.Model.Job(work.Entry.Photo, work.Entry.Options))]));
        }
        catch (Exception failure)
        {
            span?.SetTag("error.type", failure.GetType().FullName).SetStatus(ActivityStatusCode.Error);
            throw;
        }
    }

    private readonly record struct Work(CaptionEntry Entry, LoadedModel Model);

    // libtorch's error has no type of its own in .NET: CUDA says the first, the CPU's allocators the others.
    private static bool IsOutOfMemory(Exception failure) =>
        failure is OutOfMemoryException
        || failure.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase)
        || failure.Message.Contains("not enough memory", StringComparison.OrdinalIgnoreCase)
        || failure.Message.Contains("can't allocate memory", StringComparison.OrdinalIgnoreCase);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Ready: {Models}, loaded and warmed up in {Seconds:0.0} s")]
        public static partial void Ready(ILogger logger, string models, double seconds);

        [LoggerMessage(2, LogLevel.Warning, "Out of memory: going on with {Photos} photos at a time")]
        public static partial void Halved(ILogger logger, int photos);

        [LoggerMessage(3, LogLevel.Error, "A model failed on {Photos} photos")]
        public static partial void BatchFailed(ILogger logger, int photos, Exception failure);

        [LoggerMessage(4, LogLevel.Critical, "The models in {Folder} cannot serve")]
        public static partial void CannotServe(ILogger logger, string folder, Exception failure);
    }
}
