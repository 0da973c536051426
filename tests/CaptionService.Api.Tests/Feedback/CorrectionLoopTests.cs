using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.TrainingJobs;

namespace CaptionService.Api.Tests.Feedback;

/// <summary>From wrong captions to a better model, as people go: captions, corrections, a data set of them, a job, the gate.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class CorrectionLoopTests(SharedFeatures features, ITestOutputHelper output)
{
    private static readonly Dictionary<string, string> s_right = new()
    {
        ["astronaut"] = "An astronaut in an orange suit smiles.", ["balloon"] = "A hot-air balloon floats in the sky.", ["beach-drink"] = "A cold drink stands on the beach.",
        ["boats"] = "Small boats lie at a dock.", ["books"] = "Old books stand on a shelf.", ["bridge"] = "A bridge crosses the water at night.", ["cat"] = "A striped cat looks at the camera.",
        ["coffee"] = "A cup of coffee stands on a table.", ["dog"] = "A brown dog carries a stick.", ["dogs-window"] = "Dogs look out of a window.", ["flower"] = "A bright flower is open.",
        ["football"] = "A football player runs with the ball.", ["fruit"] = "Fruit lies on a market stall.", ["livingroom"] = "A living room with a sofa.", ["moose"] = "A moose stands in the grass.",
        ["mountains"] = "Snow lies on the mountains.", ["pancakes"] = "Pancakes lie on a plate.", ["parrot"] = "A parrot sits on a branch.", ["people"] = "People walk in a street.",
        ["pizza"] = "A pizza lies on a table.", ["rocket"] = "A rocket lifts off from its tower.", ["skyline"] = "A city shines at night.", ["temple"] = "A temple stands under the sky.", ["tourist"] = "A person looks at a map.",
    };

    [Fact]
    public async Task Thirty_corrections_become_a_model_that_the_gate_judges()
    {
        await using var service = new TrainingService(new() { ["Feedback:Enabled"] = "true", ["Datasets:Estimate"] = "false" }, features, output);
        await service.Start();
        while (!(await service.Client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(100, Service.Cancellation);
        }
        (string Name, byte[] Photo, string Right)[] photos = [.. s_right.Select(right => (right.Key, Photos.Sample(right.Key), right.Value)), .. s_right.Take(6).Select(right => (right.Key + "-cut", Cut(Photos.Sample(right.Key)), right.Value))];
        Assert.Equal(30, photos.Length);

        foreach ((string name, byte[] photo, string right) in photos)
        {
            Answer captioned = await Answer.To(service.Client, "/captions?count=1", Service.Bytes(photo));
            Answer kept = await Answer.To(service.Client, "/feedback", Service.Form([(name, photo)], ("given", captioned.Best()), ("caption", right), ("language", "en")));
            Assert.True(kept.Status == 201, kept.Body.ToJsonString());
        }
        Assert.Equal(30, (int)(await Answer.Get(service.Client, "/feedback?language=en&limit=1")).Body["total"]!);

        Answer made = await Answer.To(service.Client, "/datasets", new StringContent("""{"feedback": true, "name": "corrections"}""", Encoding.UTF8, "application/json"));
        Assert.True(made.Status == 201, made.Body.ToJsonString());
        string address = $"/datasets/{made.Body["id"]}";
        JsonNode dataset = made.Body;
        while ((string)dataset["status"]! == "checking")
        {
            await Task.Delay(100, Service.Cancellation);
            dataset = (await Answer.Get(service.Client, address)).Body;
        }
        Assert.True((string)dataset["status"]! == "ready", dataset.ToJsonString());
        Assert.Equal((30, 30), ((int)dataset["photos"]!, (int)dataset["captions"]!));
        Assert.Equal(s_right.Values.Order(StringComparer.Ordinal), (await Answer.Get(service.Client, address + "/items?limit=100")).Body["items"]!.AsArray().Select(item => (string)item!["captions"]![0]!).Distinct().Order(StringComparer.Ordinal));

        JsonNode job = await service.Until(await service.StartJob((string)made.Body["id"]!, new JsonObject
        {
            ["preset"] = "quick", ["name"] = "corrected", ["activateIfBetter"] = true, ["budget"] = new JsonObject { ["epochs"] = 2 },
            ["options"] = new JsonObject { ["batchPhotos"] = 8, ["warmupSteps"] = 2, ["encoderRank"] = 0, ["precision"] = "float32" },
        }), "succeeded");

        output.WriteLine((string)job["decision"]!);
        Assert.Matches("^(Activated|Not activated): .*CIDEr.*against shipped@1", (string?)job["decision"]);
        Assert.Equal("corrected", (string?)job["model"]!["name"]);
        Assert.Equal("corrected", (string?)(await Answer.To(service.Client, "/captions?model=corrected&count=1", Service.Bytes(photos[0].Photo))).Body["models"]![0]!["name"]);
    }

    private static byte[] Cut(byte[] photo)
    {
        using NetVips.Image whole = NetVips.Image.NewFromBuffer(photo);
        using NetVips.Image cut = whole.Crop(whole.Width / 4, whole.Height / 4, whole.Width / 2, whole.Height / 2);
        return cut.JpegsaveBuffer();
    }
}
