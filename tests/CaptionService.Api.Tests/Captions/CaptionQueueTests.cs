using System.Threading.Channels;
using CaptionService.Api.Captions;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Time.Testing;

namespace CaptionService.Api.Tests.Captions;

/// <summary>The policy of waiting, alone: no model, no HTTP, no real time.</summary>
public sealed class CaptionQueueTests
{
    private static readonly Photo Photo = Photo.Decode(Photos.BlackPng(1));
    private static readonly CaptionOptions Search = new();
    private static readonly CaptionedBatch Batch = new([], 0, TimeSpan.Zero, TimeSpan.Zero);

    private readonly WatchedTime _time = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private CaptionQueue Queue(TimeSpan delay = default) =>
        new(new CaptioningOptions { MaxBatchSize = 4, QueueCapacity = 16, MaxQueueDelay = delay, Deadline = TimeSpan.FromSeconds(10) }, _time);

    private static Task<IReadOnlyList<CaptionAnswer>> Ask(CaptionQueue queue, int photos, CancellationToken? aborted = null, string caller = "") =>
        queue.Caption([.. Enumerable.Repeat(Photo, photos)], Search, [], aborted ?? Cancellation, caller);

    private static void Reply(IEnumerable<CaptionEntry> batch)
    {
        foreach (CaptionEntry entry in batch)
        {
            entry.Answer(new CaptionAnswer([], TimeSpan.Zero, [Batch]));
        }
    }

    [Fact]
    public async Task What_waits_is_the_next_batch_up_to_its_limit_oldest_first()
    {
        CaptionQueue queue = Queue();
        Task<IReadOnlyList<CaptionAnswer>>[] asked = [Ask(queue, 1), Ask(queue, 2), Ask(queue, 3)];

        CaptionEntry[] first = await queue.NextBatch(Cancellation);
        Assert.Equal(4, first.Length);
        Reply(first);
        Assert.Single(await asked[0]);
        Assert.Equal(2, (await asked[1]).Count);
        Assert.False(asked[2].IsCompleted);

        Reply(await queue.NextBatch(Cancellation));
        Assert.Equal(3, (await asked[2]).Count);
        Assert.Equal(0, queue.Length);
    }

    [Fact]
    public async Task An_idle_worker_gets_the_first_photo_at_once()
    {
        CaptionQueue queue = Queue();
        Task<CaptionEntry[]> next = queue.NextBatch(Cancellation);
        Assert.False(next.IsCompleted);

        Task<IReadOnlyList<CaptionAnswer>> asked = Ask(queue, 1);

        Assert.Single(await next);
        Assert.False(asked.IsCompleted);
    }

    [Fact]
    public async Task Who_waits_behind_is_a_batch_of_its_own_only_while_nobody_else_waits()
    {
        CaptionQueue queue = Queue();
        using var leaving = new CancellationTokenSource();
        IReadOnlyList<Task<CaptionAnswer>> left = queue.CaptionBehind([Photo], Search, [], leaving.Token), behind = queue.CaptionBehind([Photo, Photo], Search, [], Cancellation);
        Task<IReadOnlyList<CaptionAnswer>> asked = Ask(queue, 5);
        Assert.Equal(5, queue.Length);
        await leaving.CancelAsync();

        Assert.Equal(4, (await queue.NextBatch(Cancellation)).Length);
        CaptionEntry[] rest = await queue.NextBatch(Cancellation);
        Assert.False(Assert.Single(rest).Behind);
        CaptionEntry[] many = await queue.NextBatch(Cancellation);
        Assert.Equal([true, true], many.Select(entry => entry.Behind));

        // Who comes while they are captioned can be let pass.
        Assert.Null(queue.TryNextBatch());
        Task<IReadOnlyList<CaptionAnswer>> passing = Ask(queue, 1);
        Reply(queue.TryNextBatch()!);
        Assert.Single(await passing);
        Reply(many);
        Assert.Equal(2, (await Task.WhenAll(behind)).Length);
        Assert.False(left[0].IsCompleted);
        Assert.False(asked.IsCompleted);
    }

    [Fact]
    public async Task A_request_is_accepted_whole_or_not_at_all()
    {
        CaptionQueue queue = Queue();
        _ = Ask(queue, 10);
        _time.Advance(TimeSpan.FromSeconds(3));

        var full = await Assert.ThrowsAsync<ProblemException>(() => Ask(queue, 7));

        Assert.Equal(ProblemTable.QueueFull, full.Kind);
        Assert.Equal(TimeSpan.FromSeconds(3), full.RetryAfter);     // the oldest photo's wait so far
        Assert.Equal(10, queue.Length);
        _ = Ask(queue, 6);
        Assert.Equal(16, queue.Length);
    }

    [Fact]
    public async Task Who_left_takes_no_room()
    {
        CaptionQueue queue = Queue();
        using var leaving = new CancellationTokenSource();
        Task<IReadOnlyList<CaptionAnswer>> left = Ask(queue, 16, leaving.Token);

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);

        _ = Ask(queue, 16);
        Assert.Equal(16, queue.Length);
    }

    [Fact]
    public async Task Who_left_and_who_is_too_late_is_dropped_when_the_batch_is_formed()
    {
        CaptionQueue queue = Queue();
        using var leaving = new CancellationTokenSource();
        Task<IReadOnlyList<CaptionAnswer>> late = Ask(queue, 2);
        _time.Advance(TimeSpan.FromSeconds(5));
        Task<IReadOnlyList<CaptionAnswer>> left = Ask(queue, 2, leaving.Token), waits = Ask(queue, 1);
        await leaving.CancelAsync();
        _time.Advance(TimeSpan.FromSeconds(5));

        Reply(await queue.NextBatch(Cancellation));

        Assert.Single(await waits);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        Assert.Equal(ProblemTable.DeadlinePassed, (await Assert.ThrowsAsync<ProblemException>(() => late)).Kind);
    }

    [Fact]
    public async Task The_deadline_is_kept_also_while_the_model_works_and_a_late_answer_harms_nobody()
    {
        CaptionQueue queue = Queue();
        Task<IReadOnlyList<CaptionAnswer>> asked = Ask(queue, 1);
        CaptionEntry[] batch = await queue.NextBatch(Cancellation);

        _time.Advance(TimeSpan.FromSeconds(10));

        var late = await Assert.ThrowsAsync<ProblemException>(() => asked);
        Assert.Contains("10 seconds", late.Message, StringComparison.Ordinal);
        Reply(batch);
        Reply(batch);
    }

    [Fact]
    public async Task Steady_arrivals_cannot_put_a_delayed_batch_off()
    {
        CaptionQueue queue = Queue(delay: TimeSpan.FromMilliseconds(100));
        Task<CaptionEntry[]> next = queue.NextBatch(Cancellation);
        _ = Ask(queue, 1);
        await _time.Armed(TimeSpan.FromMilliseconds(100));
        _time.Advance(TimeSpan.FromMilliseconds(60));
        _ = Ask(queue, 1);
        await _time.Armed(TimeSpan.FromMilliseconds(40));       // it has looked again, and waits for what is left
        Assert.False(next.IsCompleted);

        _time.Advance(TimeSpan.FromMilliseconds(40));

        Assert.Equal(2, (await next).Length);
    }

    [Fact]
    public async Task A_full_batch_does_not_wait_for_the_delay()
    {
        CaptionQueue queue = Queue(delay: TimeSpan.FromMilliseconds(100));
        Task<CaptionEntry[]> next = queue.NextBatch(Cancellation);

        _ = Ask(queue, 3);
        _ = Ask(queue, 1);

        Assert.Equal(4, (await next).Length);
    }

    [Fact]
    public async Task Callers_take_turns_whoever_sends_more()
    {
        CaptionQueue queue = Queue();
        _ = Ask(queue, 6, caller: "many");
        Assert.Equal(4, (await queue.NextBatch(Cancellation)).Length);
        _ = Ask(queue, 6, caller: "many");
        _ = Ask(queue, 1, caller: "few");
        _ = Ask(queue, 2, caller: "some");

        string[] second = [.. (await queue.NextBatch(Cancellation)).Select(entry => entry.Caller)], third = [.. (await queue.NextBatch(Cancellation)).Select(entry => entry.Caller)];

        Assert.Equal(["many", "few", "some", "many"], second);
        Assert.Equal(["some", "many", "many", "many"], third);
    }

    [Fact]
    public async Task Who_keeps_the_queue_full_makes_nobody_else_wait_longer_than_a_batch()
    {
        CaptionQueue queue = Queue();
        var waits = new List<TimeSpan>();
        for (int second = 0; second < 50; second++)
        {
            while (queue.Length <= 8)
            {
                _ = Ask(queue, 4, caller: "many");
            }
            long asked = _time.GetTimestamp();
            Task<IReadOnlyList<CaptionAnswer>> one = Ask(queue, 1, caller: "one");
            while (!one.IsCompleted)
            {
                CaptionEntry[] batch = await queue.NextBatch(Cancellation);
                _time.Advance(TimeSpan.FromSeconds(1));       // what a batch takes
                Reply(batch);
                await Task.WhenAny(one, Task.Delay(batch.Any(entry => entry.Caller == "one") ? Timeout.Infinite : 0, Cancellation));
            }
            await one;
            waits.Add(_time.GetElapsedTime(asked));
        }
        Assert.All(waits, wait => Assert.Equal(TimeSpan.FromSeconds(1), wait));
    }

    [Fact]
    public async Task The_last_quarter_of_the_queue_is_for_callers_who_have_nothing_waiting()
    {
        CaptionQueue queue = Queue();
        _ = Ask(queue, 12, caller: "many");
        Assert.Equal(ProblemTable.QueueFull, (await Assert.ThrowsAsync<ProblemException>(() => Ask(queue, 1, caller: "many"))).Kind);
        _ = Ask(queue, 3, caller: "other");
        Assert.Equal(15, queue.Length);
        Assert.Equal(ProblemTable.QueueFull, (await Assert.ThrowsAsync<ProblemException>(() => Ask(queue, 2, caller: "third"))).Kind);
    }

    [Fact]
    public async Task Stopping_ends_the_wait()
    {
        using var stopping = new CancellationTokenSource();
        Task<CaptionEntry[]> next = Queue().NextBatch(stopping.Token);

        await stopping.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
    }

    [Fact]
    public async Task A_failure_reaches_the_caller()
    {
        CaptionQueue queue = Queue();
        Task<IReadOnlyList<CaptionAnswer>> asked = Ask(queue, 1);

        (await queue.NextBatch(Cancellation))[0].Fail(new ProblemException(ProblemTable.Internal, "it failed"));

        Assert.Equal(ProblemTable.Internal, (await Assert.ThrowsAsync<ProblemException>(() => asked)).Kind);
    }

    /// <summary>A clock that stands still and says which waits have begun: who moves it before, moves the wait with it.</summary>
    private sealed class WatchedTime : FakeTimeProvider
    {
        private readonly Channel<TimeSpan> _armed = Channel.CreateUnbounded<TimeSpan>();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ITimer timer = base.CreateTimer(callback, state, dueTime, period);
            _armed.Writer.TryWrite(dueTime);
            return timer;
        }

        /// <summary>Waits until a timer of this length is set.</summary>
        public async Task Armed(TimeSpan due)
        {
            while (await _armed.Reader.ReadAsync(Cancellation) != due)
            {
                // Another's.
            }
        }
    }
}
