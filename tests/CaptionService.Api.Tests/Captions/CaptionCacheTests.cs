using System.Diagnostics.Metrics;
using CaptionService.Api.Captions;

namespace CaptionService.Api.Tests.Captions;

/// <summary>A photo that comes again, with a cache of 1 MB.</summary>
public sealed class CaptionCacheTests(ShippedSmall shipped, Service service)
{
    [Fact]
    public async Task The_same_pixels_options_and_model_are_answered_from_memory()
    {
        await using ServiceFactory factory = Remembering();
        using HttpClient client = await factory.Start(ready: true);
        long hits = 0;
        using var listener = new MeterListener { InstrumentPublished = (instrument, it) => { if (instrument.Name == "caption.cache.hits") it.EnableMeasurementEvents(instrument); } };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => Interlocked.Add(ref hits, value));
        listener.Start();

        Answer first = await Send("/captions", Photos.Cat), again = await Send("/captions?include=words", Photos.Cat);

        Assert.Equal(CaptionCache.Miss, Status(first));
        Assert.Equal(CaptionCache.Hit, Status(again));
        Assert.Equal(first.Best(), again.Best());
        Assert.NotNull(again.Captions()[0]!["words"]);
        Assert.Equal(0, (double)again.Body["timings"]!["encodeMs"]!);
        Assert.Equal(1, Interlocked.Read(ref hits));
        // Other pixels, other options.
        Assert.Equal(CaptionCache.Miss, Status(await Send("/captions", Photos.Temple)));
        Assert.Equal(CaptionCache.Miss, Status(await Send("/captions?beamWidth=4", Photos.Cat)));
        Assert.Equal(CaptionCache.Hit, Status(await Send("/captions?beamWidth=4", Photos.Cat)));
        // Several photos, one of them new.
        Answer several = await Answer.To(client, "/captions", Service.Form([("cat", Photos.Cat), ("coffee", Photos.Sample("coffee")), ("temple", Photos.Temple)]));
        Assert.Equal(CaptionCache.Part, Status(several));
        Assert.Equal(first.Best(), several.Best());
        Assert.Equal(3, several.Results.Count);

        Task<Answer> Send(string path, byte[] photo) => Answer.To(client, path, Service.Bytes(photo));
    }

    [Fact]
    public async Task It_stays_within_its_size()
    {
        await using ServiceFactory factory = Remembering();
        using HttpClient client = await factory.Start(ready: true);
        // Attention maps of 16 captions are about 150 KB: a megabyte holds few.
        string[] queries = [.. Enumerable.Range(5, 20).Select(length => $"/captions?count=16&include=attention&maxLength={length}")];
        foreach (string query in queries)
            Assert.Equal(200, (await Answer.To(client, query, Service.Bytes(Photos.Cat))).Status);
        int kept = 0;
        foreach (string query in queries)
            kept += Status(await Answer.To(client, query, Service.Bytes(Photos.Cat))) == CaptionCache.Hit ? 1 : 0;
        Assert.InRange(kept, 1, queries.Length - 1);
    }

    [Fact]
    public async Task Without_it_no_answer_speaks_of_a_cache() =>
        Assert.False((await service.Caption(Photos.Cat)).Headers.Contains(CaptionCache.Header));

    private ServiceFactory Remembering() => new(host => host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Captioning:CacheMegabytes", "1"));

    private static string Status(Answer answer) => Assert.Single(answer.Headers.GetValues(CaptionCache.Header));
}
