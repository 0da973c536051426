using System.Diagnostics;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using Microsoft.Extensions.Options;
using Polly;
using Polly.Retry;

namespace CaptionService.Api.Captions;

/// <summary>Captions one batch: as many lists as photos, in their order.</summary>
public delegate CaptionedBatch CaptionBatch(IReadOnlyList<Photo> photos, IReadOnlyList<CaptionOptions> options);

/// <summary>What stands between the worker and the model's <see cref="Captioner.Caption"/>; by default nothing.</summary>
public delegate CaptionBatch CaptionBatchWrapper(CaptionBatch caption);

/// <summary>
/// The one that runs the models: answers batch after batch on a thread of its own, each photo with the model that its
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
    private readonly CaptionMetrics _metrics;
    private readonly CaptioningOptions _options;
    private readonly CaptionBatchWrapper _wrapper;
    private readonly TimeProvider _time;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger<CaptionWorker> _logger;

    // The worker's thread only.
    private readonly ResiliencePipeline _halving;
    private int _partSize;

    /// <summary>Takes what the container has.</summary>
    public CaptionWorker(CaptionQueue queue, ModelRegistry models, Readiness readiness, CaptionMetrics metrics, IOptions<CaptioningOptions> options,
        CaptionBatchWrapper wrapper, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<CaptionWorker> logger)
    {
        (_queue, _models, _readiness, _metrics, _options) = (queue, models, readiness, metrics, options.Value);
        (_wrapper, _time, _lifetime, _logger) = (wrapper, time, lifetime, logger);
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
            TorchRuntime.Configure();
            // Blocking is right here and below: the thread is the worker's own.
            using (ModelHold first = _models.Open(stopping).GetAwaiter().GetResult())
            {
                first.Model.WarmUp(Photo.Decode(WarmUpPhoto));
                _readiness.Ready();
                Log.Ready(_logger, first.Model.Card.Name, first.Model.Card.Version, _time.GetElapsedTime(started).TotalSeconds);
            }
            while (true)
            {
                foreach (IGrouping<LoadedModel?, CaptionEntry> photos in _queue.NextBatch(stopping).GetAwaiter().GetResult().GroupBy(entry => entry.Model))
                {
                    Answer(photos.ToArray(), photos.Key);
                }
            }
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

    // An encoder pass for each model, even where they share the encoder: a photo costs the same in a batch of any size.
    private void Answer(ArraySegment<CaptionEntry> batch, LoadedModel? model)
    {
        if (model?.TryHold() != true)
        {
            return;                     // every request that held it is gone
        }
        try
        {
            Answer(batch, model.Caption, model.Card);
        }
        finally
        {
            model.Release();
        }
    }

    private void Answer(ArraySegment<CaptionEntry> batch, CaptionBatch caption, ModelCard model)
    {
        _partSize = batch.Count;
        for (int next = 0; next < batch.Count;)
        {
            ArraySegment<CaptionEntry> Part() => batch.Slice(next, Math.Min(_partSize, batch.Count - next));
            try
            {
                _halving.Execute(() => Caption(Part(), caption, model));
            }
            catch (Exception failure)
            {
                ProblemException problem = IsOutOfMemory(failure)
                    ? new(ProblemTable.OutOfMemory, "The device has not enough memory for a single photo with these options.")
                    : new(ProblemTable.Internal, "The model failed on the batch that this photo was in.");
                foreach (CaptionEntry entry in Part())
                {
                    entry.Fail(problem);
                }
                _metrics.Failed(Part().Count, problem.Kind);
                Log.BatchFailed(_logger, Part().Count, failure);
            }
            next += Part().Count;
        }
    }

    private void Caption(ArraySegment<CaptionEntry> part, CaptionBatch caption, ModelCard model)
    {
        long started = _time.GetTimestamp();
        CaptionedBatch captioned = caption([.. part.Select(entry => entry.Photo)], [.. part.Select(entry => entry.Options)]);
        if (captioned.Photos.Count != part.Count)
        {
            throw new UnreachableException($"{part.Count} photos went into the model, captions of {captioned.Photos.Count} came out.");
        }
        _metrics.Captioned(captioned);
        for (int i = 0; i < part.Count; i++)
        {
            TimeSpan queued = _time.GetElapsedTime(part[i].AcceptedAt, started);
            _metrics.Queued(queued);
            part[i].Answer(new CaptionAnswer(model, captioned.Photos[i], queued, captioned));
        }
    }

    // libtorch's error has no type of its own in .NET: CUDA says the first, the CPU's allocators the others.
    private static bool IsOutOfMemory(Exception failure) =>
        failure is OutOfMemoryException
        || failure.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase)
        || failure.Message.Contains("not enough memory", StringComparison.OrdinalIgnoreCase)
        || failure.Message.Contains("can't allocate memory", StringComparison.OrdinalIgnoreCase);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Ready: model {Model} version {Version}, loaded and warmed up in {Seconds:0.0} s")]
        public static partial void Ready(ILogger logger, string model, int version, double seconds);

        [LoggerMessage(2, LogLevel.Warning, "Out of memory: going on with {Photos} photos at a time")]
        public static partial void Halved(ILogger logger, int photos);

        [LoggerMessage(3, LogLevel.Error, "A batch of {Photos} photos failed")]
        public static partial void BatchFailed(ILogger logger, int photos, Exception failure);

        [LoggerMessage(4, LogLevel.Critical, "The model in {Folder} cannot serve")]
        public static partial void CannotServe(ILogger logger, string folder, Exception failure);
    }
}
