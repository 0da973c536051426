using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net.Http.Headers;
using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using CaptionService.Api.Tests.Models;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Tests;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Captions;

/// <summary>A service configured with a folder of three small models: English, German and Chinese.</summary>
public sealed class ThreeLanguages : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bundles-").FullName;
    private readonly ServiceFactory _factory;
    private volatile Func<CaptionBatch, CaptionBatch> _between = caption => caption;

    public ThreeLanguages()
    {
        foreach ((string language, int seed) in new[] { ("de", 21), ("en", 22), ("zh-Hans", 23) })
        {
            Put(_folder, language, seed);
        }
        _factory = new ServiceFactory(host =>
        {
            host.UseSetting("Captioning:ModelFolder", _folder);
            host.ConfigureTestServices(services => services.AddSingleton<CaptionBatchWrapper>(caption => jobs =>
            {
                Passes.Enqueue((FaultyService.Seen(jobs), jobs.Count));
                return _between(caption)(jobs);
            }));
        });
    }

    public HttpClient Client { get; private set; } = null!;

    /// <summary>Photos and jobs of each batch.</summary>
    public ConcurrentQueue<(int Photos, int Jobs)> Passes { get; } = new();

    public Task Waiting(int photos) => _factory.Waiting(photos);

    public async ValueTask InitializeAsync() => Client = await _factory.Start(ready: true);

    public async ValueTask DisposeAsync()
    {
        await _factory.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Puts something between the worker and the models; null takes it away.</summary>
    public void Between(Func<CaptionBatch, CaptionBatch>? between)
    {
        _between = between ?? (caption => caption);
        Passes.Clear();
    }

    /// <summary>Puts a small bundle into a folder of bundles.</summary>
    public static void Put(string folder, string language, int seed)
    {
        using var bundle = new SmallBundle("top-down", seed, language: language, name: "small-" + language.ToLowerInvariant());
        string place = Path.Combine(folder, Path.GetFileName(bundle.Folder));
        Directory.CreateDirectory(place);
        foreach (string file in Directory.GetFiles(bundle.Folder))
        {
            File.Copy(file, Path.Combine(place, Path.GetFileName(file)));
        }
    }

    public async Task<(Answer Answer, string[] Languages)> Send(HttpContent content, string query = "", string? accept = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/captions" + query) { Content = content };
        if (accept is not null)
        {
            request.Headers.TryAddWithoutValidation("Accept-Language", accept);
        }
        using HttpResponseMessage response = await Client.SendAsync(request, Service.Cancellation);
        return (await Answer.Read(response), [.. response.Content.Headers.ContentLanguage]);
    }

    public async Task<Answer> Caption(string query) => (await Send(Service.Bytes(ModelService.Small), query)).Answer;
}

public sealed class LanguagesTests(ThreeLanguages service) : IClassFixture<ThreeLanguages>
{
    private static string[] Languages(Answer answer)
    {
        Assert.True(answer.Status == 200, answer.Body.ToJsonString());
        return [.. answer.Body["models"]!.AsArray().Select(model => (string)model!["language"]!)];
    }

    [Fact]
    public async Task Three_languages_of_one_photo_are_one_pass_of_the_encoder()
    {
        var sizes = new ConcurrentQueue<int>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, it) =>
            {
                if (instrument is { Meter.Name: CaptionMetrics.MeterName, Name: "caption.batch.size" })
                {
                    it.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<int>((_, size, _, _) => sizes.Enqueue(size));
        listener.Start();
        service.Between(null);

        var (answer, contentLanguage) = await service.Send(Service.Bytes(ModelService.Small), "?language=zh&language=en,de&count=2");

        Assert.Equal([(1, 3)], service.Passes);
        Assert.Equal([1], sizes);
        Assert.Equal(["zh-Hans", "en", "de"], Languages(answer));
        Assert.Equal(["zh-Hans", "en", "de"], contentLanguage);
        Assert.Equal(["Accept-Language"], answer.Headers.Vary);
        Assert.Equal([("zh-Hans", 1), ("zh-Hans", 2), ("en", 1), ("en", 2), ("de", 1), ("de", 2)],
            answer.Captions().Select(caption => ((string)caption!["language"]!, (int)caption["rank"]!)));
        Assert.All(answer.Captions(), caption => Assert.EndsWith((string?)caption!["language"] == "zh-Hans" ? "。" : ".", (string?)caption["text"], StringComparison.Ordinal));
        foreach ((string language, int first) in new[] { ("zh", 0), ("en", 2), ("de", 4) })
        {
            Answer alone = await service.Caption($"?language={language}&count=2");
            Assert.Equal(alone.Captions().Select(caption => (string?)caption!["text"]), answer.Captions().Skip(first).Take(2).Select(caption => (string?)caption!["text"]));
        }
        Assert.Equal(3, answer.Body["models"]!.AsArray().Select(model => (string?)model!["digest"]).Distinct().Count());
    }

    [Fact]
    public async Task Languages_may_come_as_a_list_or_one_by_one_in_a_query_a_form_and_JSON()
    {
        string photo = Convert.ToBase64String(ModelService.Small);
        var form = Service.Form([("cat", ModelService.Small)], ("language", "de"), ("language", "en"));
        HttpContent Json(string languages) => new StringContent($$"""{"images": [{"data": "{{photo}}"}], "language": {{languages}}}""", new MediaTypeHeaderValue("application/json"));

        Assert.Equal(["de", "en"], Languages(await service.Caption("?language=de,%20en")));
        Assert.Equal(["de", "en"], Languages(await service.Caption("?language=de&language=en")));
        Assert.Equal(["de", "en"], Languages((await service.Send(form)).Answer));
        Assert.Equal(["de", "en"], Languages((await service.Send(Json("[\"de\", \"en\"]"))).Answer));
        Assert.Equal(["de", "en"], Languages((await service.Send(Json("\"de,en\""))).Answer));
        Assert.Equal(["de"], Languages((await service.Send(Json("\"de\""), "?language=en")).Answer));     // the body counts
        Assert.Equal(["en", "de"], Languages(await service.Caption("?language=en,de,en-US")));              // each once
    }

    [Theory]
    [InlineData("de-AT", "de")]
    [InlineData("DE", "de")]
    [InlineData("en-Latn-US-x-private", "en")]
    [InlineData("zh", "zh-Hans")]
    [InlineData("zh-Hans-CN", "zh-Hans")]
    public async Task A_tag_finds_the_model_of_its_language(string tag, string found) =>
        Assert.Equal([found], Languages(await service.Caption($"?language={tag}")));

    [Theory]
    [InlineData("fr")]
    [InlineData("en,fr")]
    [InlineData("e")]
    [InlineData("english")]
    [InlineData("*")]
    public async Task An_unknown_language_is_refused_with_those_that_there_are(string tags)
    {
        Answer refused = (await service.Caption($"?language={tags}")).IsProblem(400, "unknown_language");

        Assert.Contains("the languages are en, de, zh-Hans", (string)refused.Body["detail"]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "en")]
    [InlineData("de", "de")]
    [InlineData("fr, de-AT;q=0.8, en;q=0.7", "de")]
    [InlineData("en;q=0.2, zh-TW;q=0.9", "zh-Hans")]
    [InlineData("de;q=0.5, en;q=0.5", "de")]
    [InlineData("fr", "en")]                        // better another language than none
    [InlineData("*", "en")]
    [InlineData("en;q=0, *;q=0.1", "de")]
    [InlineData("de-AT;q=0, de;q=0.1", "de")]       // only Austria's is not wanted
    [InlineData("*;q=0", "en")]
    [InlineData(";;=,", "en")]
    public async Task Accept_Language_chooses_where_nothing_is_asked_for(string? accept, string found)
    {
        var (answer, contentLanguage) = await service.Send(Service.Bytes(ModelService.Small), accept: accept);

        Assert.Equal([found], Languages(answer));
        Assert.Equal([found], contentLanguage);
        Assert.Equal(["Accept-Language"], answer.Headers.Vary);
        Assert.Equal(["de"], Languages((await service.Send(Service.Bytes(ModelService.Small), "?language=de", accept)).Answer));
        Assert.Equal(["zh-Hans"], Languages((await service.Send(Service.Bytes(ModelService.Small), "?model=small-zh-hans", accept)).Answer));
    }

    [Fact]
    public async Task A_model_of_another_language_than_asked_for_is_refused()
    {
        Assert.Equal(["de"], Languages(await service.Caption("?model=small-de&language=de-CH")));
        Answer refused = (await service.Caption("?model=small-de&language=de,en")).IsProblem(400, "invalid_option");
        Assert.Contains("small-de@1 writes 'de'", (string)refused.Body["detail"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_that_fails_takes_no_other_models_captions_with_it()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var released = new ManualResetEventSlim();
        service.Between(caption => jobs =>
        {
            entered.TrySetResult();
            released.Wait();
            return jobs.Any(job => job.Model.Card.Language == "de") ? throw new InvalidOperationException("no German today") : caption(jobs);
        });
        Task<Answer> first = service.Caption("?language=en");
        await entered.Task;
        Task<Answer> english = service.Caption("?language=en&count=1"), german = service.Caption("?language=de"), both = service.Caption("?language=zh,de");
        await service.Waiting(3);
        released.Set();

        Assert.Equal(["en"], Languages(await first));
        Assert.Equal(["en"], Languages(await english));
        (await german).IsProblem(500, "internal_error");
        (await both).IsProblem(500, "internal_error");
        service.Between(null);
        Assert.Equal(["zh-Hans", "de"], Languages(await service.Caption("?language=zh,de")));
    }

    [Fact]
    public async Task Out_of_memory_halves_the_photos_and_leaves_each_its_languages()
    {
        service.Between(caption => jobs => FaultyService.Seen(jobs) > 2 ? throw new InvalidOperationException("CUDA out of memory.") : caption(jobs));

        var (answer, _) = await service.Send(Service.Form(Enumerable.Repeat(("cat", ModelService.Small), 4)), "?language=en,de&count=1");

        Assert.Equal([(4, 8), (2, 4), (2, 4)], service.Passes);
        Assert.All(answer.Results, result => Assert.Equal(["en", "de"], result!["captions"]!.AsArray().Select(caption => (string?)caption!["language"])));
        service.Between(null);
    }

    [Fact]
    public async Task A_swap_in_one_language_leaves_the_others_alone()
    {
        using (var bundle = new SmallBundle("show-and-tell", 31, language: "zh", name: "other"))
        {
            byte[] zip = ModelService.Zip(Directory.GetFiles(bundle.Folder).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file))));
            Assert.Equal(201, (await Answer.To(service.Client, "/models", Service.Bytes(zip, "application/zip"))).Status);
        }
        Assert.Equal(200, (await Answer.To(service.Client, "/models/other/versions/1/activate", new ByteArrayContent([]))).Status);

        Answer answer = await service.Caption("?language=en,zh-TW");

        Assert.Equal(["small-en", "other"], answer.Body["models"]!.AsArray().Select(model => (string?)model!["name"]));
        Assert.Equal("small-zh-hans", (string?)(await Answer.To(service.Client, "/models/other/rollback", new ByteArrayContent([]))).Body["name"]);
        Assert.Equal("small-en", (string?)(await Answer.Get(service.Client, "/models")).Body["models"]![0]!["name"]);
    }

    [Fact]
    public void Configuration_names_a_bundle_or_a_folder_of_one_for_each_language()
    {
        string folder = Directory.CreateTempSubdirectory("bundles-").FullName;
        try
        {
            Assert.Contains("no model.json", Assert.Throws<ModelBundleException>(() => ShippedModel.Read(folder)).Message, StringComparison.Ordinal);
            ThreeLanguages.Put(folder, "de", 1);
            ThreeLanguages.Put(folder, "zh", 1);
            Assert.Equal(["de", "zh"], ShippedModel.Read(folder).Select(model => model.Card.Language));
            Assert.Equal("small-zh", Assert.Single(ShippedModel.Read(Path.Combine(folder, "small-zh"))).Card.Name);
            ThreeLanguages.Put(folder, "en", 1);
            Directory.CreateDirectory(Path.Combine(folder, "vgg16"));       // no bundle
            Assert.Equal(["en", "de", "zh"], ShippedModel.Read(folder).Select(model => model.Card.Language));
            ThreeLanguages.Put(folder, "de-AT", 1);
            Assert.Contains("'small-de-at'", Assert.Throws<ModelBundleException>(() => ShippedModel.Read(folder)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_models_that_come_with_the_product_are_one_for_each_language_and_English_comes_first() =>
        Assert.Equal("everyday-en", ShippedModel.Read(DefaultModels.Folder)[0].Card.Name);
}
