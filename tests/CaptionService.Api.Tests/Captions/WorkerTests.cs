using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using CaptionService.Api.Captions;
using CaptionService.Api.Tests.CaptionJobs;
using CaptionService.Captioning;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Captions;

public sealed class WorkerTests(FaultyService service) : IClassFixture<FaultyService>
{
    private async Task StillWorks()
    {
        service.Fault(null);
        Assert.NotEmpty((await service.Send(1)).Best());
    }

    [Fact]
    public async Task A_full_queue_refuses_at_once_and_says_when_to_come_again()
    {
        using var model = new HeldModel(service);
        Task<Answer> first = service.Send(1);
        await model.Entered;

        Task<Answer> waits = service.Send(16);
        await service.Waiting(16);

        Answer refused = (await service.Send(1)).IsProblem(429, "queue_full");

        Assert.Equal(TimeSpan.FromSeconds(1), refused.Headers.RetryAfter!.Delta);
        model.Release();
        Assert.Equal(200, (await first).Status);
        Assert.Equal(16, (await waits).Results.Count);
        await StillWorks();
    }

    [Fact]
    public async Task A_request_passes_a_batch_of_a_job_that_is_under_way()
    {
        var begun = new ConcurrentQueue<string>();
        var waits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        service.Fault(caption => jobs =>
        {
            string which = jobs.Count == 4 ? "many" : "one";
            begun.Enqueue($"{which} begin");
            if (which == "many")
            {
                waits.Task.GetAwaiter().GetResult();
            }
            CaptionedBatch captioned = caption(jobs);
            begun.Enqueue($"{which} end");
            return captioned;
        });

        string job = (await Jobs.Send(service.Client, Jobs.Many(4), "?count=1")).Id();
        while (begun.IsEmpty)
        {
            await Task.Delay(5, Service.Cancellation);
        }
        Task<Answer> asked = service.Send(1);
        await service.Waiting(1);
        waits.SetResult();
        Assert.NotEmpty((await asked).Best());
        await Jobs.Until(service.Client, job, "succeeded");

        Assert.Equal(["many begin", "one begin", "one end", "many end"], begun);
        await StillWorks();
    }

    [Fact]
    public async Task A_caller_is_told_when_the_deadline_passes()
    {
        using var model = new HeldModel(service);
        Task<Answer> late = service.Send(1);
        await model.Entered;

        service.Time.Advance(TimeSpan.FromSeconds(60));

        (await late).IsProblem(504, "deadline_passed");
        model.Release();
        await StillWorks();
    }

    [Fact]
    public async Task A_batch_that_does_not_come_back_ends_the_life_of_the_service()
    {
        using var model = new HeldModel(service);
        Task<Answer> held = service.Send(1);
        await model.Entered;
        Assert.Equal(200, (await Answer.Get(service.Client, "/health/live")).Status);

        service.Time.AdjustTime(service.Time.GetUtcNow() + TimeSpan.FromHours(1));

        (await Answer.Get(service.Client, "/health/live")).IsProblem(503, "worker_stuck");
        model.Release();
        Assert.Equal(200, (await held).Status);
        Assert.Equal(200, (await Answer.Get(service.Client, "/health/live")).Status);
        await StillWorks();
    }

    [Fact]
    public async Task A_caller_who_leaves_costs_the_model_nothing()
    {
        using var model = new HeldModel(service);
        Task<Answer> first = service.Send(1);
        await model.Entered;
        using var leaving = new CancellationTokenSource();
        Task<Answer> leaves = service.Send(16, cancellation: leaving.Token);
        await service.Waiting(16);

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaves);
        // As soon as the server has noticed, there is room for another.
        Task<Answer> next = service.Send(1);
        while (await Task.WhenAny(next, service.Waiting(1)) == next)
        {
            (await next).IsProblem(429, "queue_full");
            next = service.Send(1);
        }
        model.Release();

        Assert.Equal(200, (await first).Status);
        Assert.Equal(200, (await next).Status);
        Assert.Equal([1, 1], service.Batches);
    }

    [Fact]
    public async Task Out_of_memory_halves_the_batch_and_goes_on()
    {
        service.Fault(caption => jobs => FaultyService.Seen(jobs) > 2 ? throw OutOfMemory() : caption(jobs));

        Answer answer = await service.Send(8);

        Assert.All(Enumerable.Range(0, 8), photo => Assert.NotEmpty(answer.Best(photo)));
        Assert.Equal([8, 4, 2, 2, 2, 2], service.Batches);
        await StillWorks();
    }

    [Fact]
    public async Task Out_of_memory_with_a_single_photo_asks_to_come_again()
    {
        service.Fault(_ => _ => throw OutOfMemory());

        (await service.Send(2)).IsProblem(503, "out_of_memory");

        Assert.Equal([2, 1, 1], service.Batches);
        await StillWorks();
    }

    [Fact]
    public async Task A_batch_that_fails_answers_each_of_its_requests_and_the_worker_lives_on()
    {
        using var model = new HeldModel(service);
        Task<Answer> first = service.Send(1);
        await model.Entered;
        Task<Answer>[] requests = [service.Send(1), service.Send(1), service.Send(1)];
        await service.Waiting(3);
        model.Release(_ => _ => throw new InvalidOperationException("weights of /secret/place are gone"));

        foreach (Answer answer in await Task.WhenAll(requests))
        {
            answer.IsProblem(500, "internal_error");
            Assert.DoesNotContain("secret", answer.Body.ToJsonString(), StringComparison.Ordinal);
        }
        Assert.Equal(500, (await first).Status);
        Assert.Equal([1, 3], service.Batches);
        await StillWorks();
    }

    [Fact]
    public async Task A_model_that_returns_too_few_captions_is_a_failure_and_no_one_gets_anothers()
    {
        service.Fault(caption => jobs => caption([.. jobs.Take(jobs.Count - 1)]));

        (await service.Send(3)).IsProblem(500, "internal_error");

        await StillWorks();
    }

    [Fact]
    public async Task Photos_with_different_options_share_a_batch()
    {
        using var model = new HeldModel(service);
        Task<Answer> first = service.Send(1);
        await model.Entered;
        Task<Answer> one = service.Send(1, "?beamWidth=1"), five = service.Send(1, "?count=5");
        await service.Waiting(2);
        model.Release();

        Assert.Equal(200, (await first).Status);
        Assert.Single((await one).Captions());
        Assert.Equal(5, (await five).Captions().Count);
        Assert.Equal([1, 2], service.Batches);
    }

    [Fact]
    public async Task What_the_worker_does_is_measured()
    {
        var measured = new ConcurrentDictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, it) =>
            {
                if (instrument.Meter.Name == CaptionMetrics.MeterName && instrument.Name.StartsWith("caption.", StringComparison.Ordinal))
                {
                    it.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => measured[instrument.Name] = value);
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => measured[instrument.Name] = value);
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => measured[instrument.Name] = value);
        listener.Start();

        Assert.Equal(200, (await service.Send(3)).Status);
        listener.RecordObservableInstruments();

        Assert.Equal(["caption.batch.size", "caption.encode.duration", "caption.photos", "caption.queue.duration", "caption.queue.length", "caption.search.duration"], measured.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(3, measured["caption.batch.size"]);
        Assert.Equal(3, measured["caption.photos"]);
    }

#pragma warning disable CA2201 // libtorch's errors do arrive as this type
    private static ExternalException OutOfMemory() => new("CUDA out of memory. Tried to allocate 2.00 GiB.");
#pragma warning restore CA2201

    /// <summary>Holds the model up until it is released.</summary>
    private sealed class HeldModel : IDisposable
    {
        private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _released = new();
        private volatile Func<CaptionBatch, CaptionBatch> _then = caption => caption;

        public HeldModel(FaultyService service) =>
            service.Fault(caption => jobs =>
            {
                _entered.TrySetResult();
                _released.Wait();
                return _then(caption)(jobs);
            });

        public Task Entered => _entered.Task.WaitAsync(Service.Cancellation);

        public void Release(Func<CaptionBatch, CaptionBatch>? then = null)
        {
            _then = then ?? _then;
            _released.Set();
        }

        // Not disposed: the worker may still be at it.
        public void Dispose() => _released.Set();
    }
}
