using System.Diagnostics;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;

namespace CaptionService.Api.Captions;

/// <summary>What one photo's caller gets.</summary>
/// <param name="Captions">A ranked list for each model, in the order of <see cref="CaptionEntry.Models"/>.</param>
/// <param name="Queued">Time from entry into the queue to the start of the batch.</param>
/// <param name="Batches">The batches the photo was in, one for each encoder, for their times.</param>
public sealed record CaptionAnswer(IReadOnlyList<IReadOnlyList<Caption>> Captions, TimeSpan Queued, IReadOnlyList<CaptionedBatch> Batches);

/// <summary>One photo in the queue, with its own way to answer.</summary>
public sealed class CaptionEntry(Photo photo, CaptionOptions options, IReadOnlyList<LoadedModel> models, long acceptedAt, CancellationToken gone)
{
    // Asynchronous continuations: the worker's thread must never run a caller's code.
    private readonly TaskCompletionSource<CaptionAnswer> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // The worker's thread only.
    private readonly IReadOnlyList<Caption>?[] _captions = new IReadOnlyList<Caption>?[models.Count];
    private readonly List<CaptionedBatch> _batches = [];
    private TimeSpan? _queued;

    /// <summary>The photo.</summary>
    public Photo Photo { get; } = photo;

    /// <summary>How to caption it.</summary>
    public CaptionOptions Options { get; } = options;

    /// <summary>The models that answer it, each once, held by the request.</summary>
    public IReadOnlyList<LoadedModel> Models { get; } = models;

    /// <summary>When it was accepted, a <see cref="TimeProvider"/> timestamp.</summary>
    public long AcceptedAt { get; } = acceptedAt;

    /// <summary>Who asked; empty where callers are not told apart.</summary>
    public string Caller { get; init; } = "";

    /// <summary>Whether it is captioned behind all others, by whoever waits for many.</summary>
    public bool Behind { get; init; }

    /// <summary>When it is this photo's turn: the smallest number comes first. Under the queue's lock.</summary>
    internal long Turn { get; set; }

    /// <summary>The span of the request that brought it.</summary>
    public ActivityContext Request { get; } = Activity.Current?.Context ?? default;

    /// <summary>Nobody waits for the answer any more: the caller left or the deadline passed.</summary>
    public bool IsGone => gone.IsCancellationRequested;

    /// <summary>Completes with the answer.</summary>
    public Task<CaptionAnswer> Answered => _answer.Task;

    /// <summary>Takes what one model made of the photo. On the worker's thread.</summary>
    /// <returns>The answer when every model has its part in it; null before, and when the photo has failed.</returns>
    internal CaptionAnswer? Add(LoadedModel model, IReadOnlyList<Caption> captions, TimeSpan queued, CaptionedBatch batch)
    {
        for (int i = 0; i < Models.Count; i++)
            _captions[i] = Models[i] == model ? captions : _captions[i];
        _queued ??= queued;
        if (!_batches.Contains(batch))
            _batches.Add(batch);
        return _captions.Contains(null) || Answered.IsCompleted ? null : new CaptionAnswer(_captions!, _queued.Value, _batches);
    }

    /// <summary>Answers. A second answer is ignored.</summary>
    public void Answer(CaptionAnswer answer) => _answer.TrySetResult(answer);

    /// <summary>Answers with a failure. A second answer is ignored.</summary>
    /// <returns>Whether it was the first.</returns>
    public bool Fail(Exception failure) => _answer.TrySetException(failure);
}

/// <summary>
/// All policy of waiting: capacity, deadline, and which photos form the next batch. Knows no model and no HTTP.
/// </summary>
/// <remarks>
/// Requests call Caption from any thread; one worker calls <see cref="NextBatch"/>.
/// Callers take turns, photo by photo (start-time fair queueing): who sends many waits for their own, not others for them.
/// What waits when the worker is free is its next batch, so batches grow with the load and an idle service adds no delay.
/// Photos that wait behind (<see cref="CaptionBehind"/>) are a batch only while no other waits, and the worker lets those that
/// come meanwhile pass (<see cref="TryNextBatch"/>).
/// </remarks>
public sealed class CaptionQueue(CaptioningOptions options, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly List<CaptionEntry> _waiting = [];                                                   // under _gate, oldest first
    private readonly Queue<CaptionEntry[]> _behind = [];                                                 // under _gate
    private readonly Dictionary<string, long> _lastTurns = [];                                           // under _gate: of callers who wait
    private long _turn;                                                                                  // under _gate: the one that was served last
    private TaskCompletionSource _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);     // under _gate; done when something came after the worker looked

    /// <summary>Photos waiting now, without those that wait behind.</summary>
    public int Length
    {
        get { lock (_gate) { return _waiting.Count; } }
    }

    /// <summary>
    /// Captions photos with models that the caller holds: all are accepted or none is.
    /// </summary>
    /// <returns>One answer for each photo, in their order.</returns>
    /// <exception cref="ProblemException">The queue is full (at once), the deadline passed, or the batch failed.</exception>
    /// <exception cref="OperationCanceledException">The caller left.</exception>
    public async Task<IReadOnlyList<CaptionAnswer>> Caption(IReadOnlyList<Photo> photos, CaptionOptions search, IReadOnlyList<LoadedModel> models, CancellationToken aborted,
        string caller = "")
    {
        using var deadline = new CancellationTokenSource(options.Deadline, time);
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(aborted, deadline.Token);
        long now = time.GetTimestamp();
        CaptionEntry[] entries = [.. photos.Select(photo => new CaptionEntry(photo, search, models, now, gone.Token) { Caller = caller })];
        Accept(entries, caller);
        try
        {
            return await Task.WhenAll(entries.Select(entry => entry.Answered)).WaitAsync(gone.Token);
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested && !aborted.IsCancellationRequested)
        {
            throw new ProblemException(ProblemTable.DeadlinePassed, $"The captions were not ready within {options.Deadline.TotalSeconds:0.###} seconds.");
        }
    }

    /// <summary>Captions photos behind all others, with models that the caller holds, in a batch of their own where it is not too large. No deadline counts, and no capacity.</summary>
    /// <returns>An answer for each photo, or its failure, in their order.</returns>
    public IReadOnlyList<Task<CaptionAnswer>> CaptionBehind(IReadOnlyList<Photo> photos, CaptionOptions search, IReadOnlyList<LoadedModel> models, CancellationToken aborted)
    {
        long now = time.GetTimestamp();
        CaptionEntry[] entries = [.. photos.Select(photo => new CaptionEntry(photo, search, models, now, aborted) { Behind = true })];
        lock (_gate)
        {
            foreach (CaptionEntry[] batch in entries.Chunk(options.MaxBatchSize))
                _behind.Enqueue(batch);
            _arrival.TrySetResult();
        }
        return [.. entries.Select(entry => entry.Answered)];
    }

    /// <summary>Waits until something is to be done and takes it: at most <see cref="CaptioningOptions.MaxBatchSize"/> photos, callers in turn, of each the oldest first, none that is gone.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="stopping"/>.</exception>
    public async Task<CaptionEntry[]> NextBatch(CancellationToken stopping)
    {
        while (true)
        {
            stopping.ThrowIfCancellationRequested();
            Task arrival;
            TimeSpan wait;
            lock (_gate)
            {
                if (Due(out wait) is { } batch)
                    return batch;
                while (_behind.TryDequeue(out CaptionEntry[]? behind))
                {
                    if (!behind[0].IsGone)
                        return behind;
                }
                if (_arrival.Task.IsCompleted)
                    _arrival = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                arrival = _arrival.Task;
            }
            try
            {
                await arrival.WaitAsync(wait, time, stopping);
            }
            catch (TimeoutException)
            {
                // The oldest photo has waited long enough.
            }
        }
    }

    /// <summary>Takes the next batch, where one is due that does not wait behind.</summary>
    public CaptionEntry[]? TryNextBatch()
    {
        lock (_gate)
        {
            return Due(out _);
        }
    }

    /// <param name="wait">How long nothing is due unless something comes.</param>
    private CaptionEntry[]? Due(out TimeSpan wait)
    {
        wait = Timeout.InfiniteTimeSpan;
        _waiting.RemoveAll(entry => entry.IsGone);
        if (_waiting.Count == 0)
            return null;
        // Measured from the oldest photo, never from the newest: steady arrivals cannot put the batch off.
        wait = options.MaxQueueDelay - time.GetElapsedTime(_waiting[0].AcceptedAt);
        return wait <= TimeSpan.Zero || _waiting.Count >= options.MaxBatchSize ? Take() : null;
    }

    private CaptionEntry[] Take()
    {
        CaptionEntry[] batch = [.. _waiting.OrderBy(entry => entry.Turn).Take(options.MaxBatchSize)];      // stable: the older of equal turns first
        _waiting.RemoveAll(batch.Contains);
        _turn = batch[^1].Turn;
        foreach (string caller in _lastTurns.Where(last => last.Value <= _turn || _waiting.Count == 0).Select(last => last.Key).ToList())
            _lastTurns.Remove(caller);
        return batch;
    }

    private void Accept(CaptionEntry[] entries, string caller)
    {
        lock (_gate)
        {
            if (_waiting.Count + entries.Length > options.QueueCapacity)
                _waiting.RemoveAll(entry => entry.IsGone);
            if (_waiting.Count + entries.Length > options.QueueCapacity)
            {
                // The oldest photo's wait is what the queue takes at present.
                TimeSpan retryAfter = _waiting.Count == 0 ? TimeSpan.Zero : time.GetElapsedTime(_waiting[0].AcceptedAt);
                throw new ProblemException(ProblemTable.QueueFull,
                    $"{_waiting.Count} photos are waiting, at most {options.QueueCapacity} may; this request brings {entries.Length}.",
                    TimeSpan.FromSeconds(Math.Max(1, retryAfter.TotalSeconds)));
            }
            // One caller who fills the queue leaves a quarter of it to those who have nothing waiting.
            int most = options.QueueCapacity - options.QueueCapacity / 4;
            if (caller.Length > 0 && _waiting.Count + entries.Length > most && _waiting.Exists(entry => entry.Caller == caller && !entry.IsGone))
            {
                throw new ProblemException(ProblemTable.QueueFull, $"{_waiting.Count} photos are waiting, some of them yours; the last {options.QueueCapacity - most} places are for others.",
                    TimeSpan.FromSeconds(Math.Max(1, time.GetElapsedTime(_waiting[0].AcceptedAt).TotalSeconds)));
            }
            long turn = Math.Max(_turn, _lastTurns.GetValueOrDefault(caller));
            foreach (CaptionEntry entry in entries)
                entry.Turn = ++turn;
            _lastTurns[caller] = turn;
            _waiting.AddRange(entries);
            _arrival.TrySetResult();
        }
    }
}
