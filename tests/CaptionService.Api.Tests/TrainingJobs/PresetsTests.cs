using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using TorchSharp;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>Each preset trained to a model in the registry, by a service and trainers of their own.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class PresetsTests(SharedFeatures shared, ITestOutputHelper output)
{
    [Fact]
    public async Task Quick_tutorial_and_a_job_out_of_time_end_with_models_that_caption()
    {
        await using var service = new TrainingService(new() { [ShippedSmall.Setting] = DefaultModels.EnglishFolder }, shared, output);
        await service.Start();
        while (!(await service.Client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(100, Service.Cancellation);
        }
        string dataset = await service.AddDataset(), waiting = await service.AddDataset("checking");
        string queued = await service.StartJob(waiting, new JsonObject { ["preset"] = "tutorial" });

        // quick: from the model in service, its words and network kept; what it said before is epoch 0.
        string quick = await service.StartJob(dataset, new JsonObject { ["budget"] = new JsonObject { ["epochs"] = 1 } });
        JsonNode tuned = await service.Until(quick, "succeeded");
        Assert.StartsWith("everyday-en@", (string?)tuned["baseModel"], StringComparison.Ordinal);
        Assert.Equal("everyday-en", (string?)tuned["model"]!["name"]);
        Assert.True((int)tuned["model"]!["version"]! > 1);
        TrainingEvent[] epochs = [.. (await service.Events(quick)).Where(e => e.Type == "epoch")];
        Assert.Equal([0, 1], epochs.Select(e => e.Data.GetProperty("epoch").GetInt32()));
        Assert.All(epochs, e => Assert.Equal(4, e.Data.GetProperty("samples").GetArrayLength()));

        // tutorial: show-and-tell from mean features.
        string tutorial = await service.StartJob(dataset, new JsonObject { ["preset"] = "tutorial", ["name"] = "told", ["budget"] = new JsonObject { ["epochs"] = 30 }, ["options"] = new JsonObject { ["minWordCount"] = 1, ["patience"] = 1000 } });
        JsonNode told = await service.Until(tutorial, "succeeded");
        Assert.Equal(("told", 1), ((string?)told["model"]!["name"], (int?)told["model"]!["version"]));
        Assert.Null(told["baseModel"]);

        // A budget of a second: the best so far is the model.
        JsonObject job = SmallDataset.Job(1000);
        job["budget"]!["minutes"] = 0.02;
        string brief = await service.StartJob(dataset, job);
        await service.Until(brief, "succeeded");
        List<TrainingEvent> events = await service.Events(brief);
        Assert.Equal("out_of_time", Assert.Single(events, e => e.Type == "warning" && e.Data.GetProperty("code").GetString() == "out_of_time").Data.GetProperty("code").GetString());
        Assert.InRange(events.Count(e => e.Type == "epoch"), 1, 999);

        // The models are there, and say which job made them.
        foreach ((string name, string id) in new[] { ("told", tutorial), ("samples", brief) })
        {
            Answer captioned = await Answer.To(service.Client, $"/captions?model={name}", new ByteArrayContent(Photos.Cat));
            Assert.Equal(name, (string?)captioned.Body["models"]![0]!["name"]);
            output.WriteLine($"{name}: {captioned.Best()}");
            Assert.Contains(id, (await Answer.Get(service.Client, $"/models/{name}")).Body.ToJsonString(), StringComparison.Ordinal);
        }

        // A job whose data set is still looked at waits, and fails with its refusal.
        Assert.Equal("validating", (string?)(await service.Job(queued))["state"]);
    }

    [Fact]
    public async Task Tutorial_learns_from_features_that_come_instead_of_photos()
    {
        // Three kinds of photos, 30 in all: a vector tells the kind, and each kind has one sentence.
        string[] sentences = ["A dog runs over green grass.", "Two boats lie in the harbour.", "An old woman reads a book."];
        const int Photos = 30, Values = 32;
        var random = new Random(1);
        float[] vectors = [.. Enumerable.Range(0, Photos * Values).Select(i => random.NextSingle() + (i % Values % 3 == i / Values % 3 ? 1 : 0))];
        string array = Path.Combine(Directory.CreateTempSubdirectory("features-").FullName, "feats.npy");
        using (torch.Tensor features = torch.tensor(vectors, [Photos, Values]))
        {
            Npy.Save(array, features);
        }
        await using var service = new TrainingService([], shared, output);
        await service.Start();
        using var form = new MultipartFormDataContent
        {
            { new ByteArrayContent(await File.ReadAllBytesAsync(array, Service.Cancellation)), "archive", "feats.npy" },
            { new StringContent(string.Concat(Enumerable.Range(0, Photos).Select(i => $"photo{i}.jpg#0\t{sentences[i % 3]}\n"))), "captions", "results.token" },
        };
        string dataset = (string)(await Answer.To(service.Client, "/datasets", form)).Body["id"]!;
        Directory.Delete(Path.GetDirectoryName(array)!, recursive: true);

        // Asked for at once: the job waits for the data set's inspection.
        string id = await service.StartJob(dataset, new JsonObject { ["preset"] = "tutorial", ["name"] = "told", ["seed"] = 7, ["options"] = new JsonObject { ["epochs"] = 40, ["patience"] = 40, ["minWordCount"] = 1, ["batchCaptions"] = 8, ["decayRate"] = 1 } });
        JsonNode job = await service.Until(id, "succeeded");

        Assert.Equal("told", (string?)job["model"]!["name"]);
        Assert.True((bool)(await Answer.Get(service.Client, $"/datasets/{dataset}")).Body["report"]!["photos"]!["precomputed"]!);
        JsonElement last = (await service.Events(id)).Last(e => e.Type == "epoch").Data;
        Assert.All(last.GetProperty("samples").EnumerateArray(), sample =>
            Assert.Equal(sentences[int.Parse(sample.GetProperty("photo").GetString()![5..^4], null) % 3], sample.GetProperty("caption").GetString()));

        // Vectors and photos are not learnt together.
        Answer mixed = await Answer.To(service.Client, "/training-jobs", JsonContent.Create(new { datasets = new[] { new { id = await service.AddDataset() }, new { id = dataset } }, preset = "tutorial" }));
        Assert.Contains("datasets[1].id names a data set of features", (string)mixed.IsProblem(400, "invalid_option").Body["detail"]!, StringComparison.Ordinal);

        // What made the vectors is not known, so that photos cannot be captioned: said at the first try.
        while (!(await service.Client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(100, Service.Cancellation);
        }
        (await Answer.To(service.Client, "/captions?model=told", new ByteArrayContent(Tests.Photos.Cat))).IsProblem(422, "model_refused");
    }
}
