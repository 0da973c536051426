using System.Text.Json.Nodes;
using CaptionService.Captioning.Training;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>Each preset trained to a model in the registry, by a service and trainers of their own.</summary>
public sealed class PresetsTests(SharedFeatures features, ITestOutputHelper output)
{
    [Fact]
    public async Task Quick_tutorial_and_a_job_out_of_time_end_with_models_that_caption()
    {
        await using var service = new TrainingService([], features, output);
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
        Assert.StartsWith("flickr8k-en@", (string?)tuned["baseModel"], StringComparison.Ordinal);
        Assert.Equal("flickr8k-en", (string?)tuned["model"]!["name"]);
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
}
