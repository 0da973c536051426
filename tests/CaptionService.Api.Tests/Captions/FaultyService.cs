using System.Collections.Concurrent;
using CaptionService.Api.Captions;
using CaptionService.Captioning;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace CaptionService.Api.Tests.Captions;

/// <summary>A second service whose model can be held up or made to fail, and whose time stands still. Its queue is as short as it may be.</summary>
public sealed class FaultyService : IAsyncLifetime
{
    private readonly ServiceFactory _factory;
    private volatile Func<CaptionBatch, CaptionBatch> _fault = caption => caption;

    public FaultyService(ShippedSmall model) =>
        _factory = new ServiceFactory(host =>
        {
            host.UseSetting(ShippedSmall.Setting, model.Folder);
            host.UseSetting("Captioning:QueueCapacity", "16");
            host.ConfigureTestServices(services => services
                .AddSingleton<TimeProvider>(Time)
                .AddSingleton<CaptionBatchWrapper>(caption => jobs =>
                {
                    Batches.Enqueue(Seen(jobs));
                    return _fault(caption)(jobs);
                }));
        });

    public HttpClient Client { get; private set; } = null!;

    public FakeTimeProvider Time { get; } = new();

    /// <summary>Sizes of the batches that reached the model.</summary>
    public ConcurrentQueue<int> Batches { get; } = new();

    public async ValueTask InitializeAsync() => Client = await _factory.Start(ready: true);

    public async ValueTask DisposeAsync() => await _factory.DisposeAsync();

    /// <summary>Photos in a batch.</summary>
    public static int Seen(IReadOnlyList<CaptionJob> jobs) => jobs.DistinctBy(job => job.Photo).Count();

    /// <summary>Waits until so many photos wait.</summary>
    public Task Waiting(int photos) => _factory.Waiting(photos);

    /// <summary>Puts a fault round the model; null takes it away.</summary>
    public void Fault(Func<CaptionBatch, CaptionBatch>? fault)
    {
        _fault = fault ?? (caption => caption);
        Batches.Clear();
    }

    public Task<Answer> Send(int photos, string query = "", CancellationToken? cancellation = null) =>
        Answer.To(Client, "/captions" + query, Service.Form(Enumerable.Repeat(("cat", Photos.Cat), photos)), cancellation);
}
