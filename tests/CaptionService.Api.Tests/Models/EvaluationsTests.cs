using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Tests;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Models;

public sealed class EvaluationsOnSqliteTests(ModelServiceOnSqlite service) : EvaluationsTests(service), IClassFixture<ModelServiceOnSqlite>;

public sealed class EvaluationsOnPostgresTests(ModelServiceOnPostgres service) : EvaluationsTests(service), IClassFixture<ModelServiceOnPostgres>;

/// <summary>Evaluations by the real trainer, over a data set made from the samples, on both databases.</summary>
public abstract class EvaluationsTests(ModelService service)
{
    private const string Shipped = ShippedSmall.Name;

    private static readonly Dictionary<string, string[]> Captions = new()
    {
        ["astronaut"] = ["A woman in an orange space suit smiles.", "An astronaut in front of a flag."],
        ["cat"] = ["A cat looks at the camera.", "The face of a cat."],
        ["rocket"] = ["A rocket on a tower.", "A rocket in a blue sky."],
        ["temple"] = ["A temple under a blue sky.", "The roof of an old temple."],
    };

    [Fact]
    public async Task A_model_is_scored_in_the_background_and_the_result_is_kept()
    {
        string dataset = await AddDataset();
        Answer queued = await Post("/evaluations", new { model = Shipped, dataset });

        Assert.True(queued.Status == 202, queued.Body.ToJsonString());
        Assert.Equal($"/evaluations/{queued.Body["id"]}", queued.Headers.Location?.ToString());
        Assert.Equal(Shipped + "@1", (string?)queued.Body["model"]);
        JsonNode result = (await Ended(queued))["result"]!;

        Assert.Equal(3, (int)result["photos"]!);
        Assert.All((string[])["bleu1", "bleu4", "rougeL", "cider", "length", "distinct", "verbatim"], name => Assert.NotNull(result["scores"]![name]));
        JsonNode worst = result["worst"]![0]!;
        Assert.NotEmpty((string)worst["caption"]!);
        Assert.Equal(2, worst["references"]!.AsArray().Count);
        Assert.Equal(3, result["best"]!.AsArray().Count);

        Answer again = await Post("/evaluations", new { model = Shipped + "@1", dataset, split = "dev" });
        Assert.Equal(result.ToJsonString(), (await Ended(again))["result"]!.ToJsonString());
        JsonNode list = (await Answer.Get(service.Client, "/evaluations?limit=1")).Body;
        Assert.True((int)list["total"]! >= 2);
        Assert.Equal((string?)again.Body["id"], (string?)Assert.Single(list["evaluations"]!.AsArray())!["id"]);
    }

    [Fact]
    public async Task Two_models_are_compared_with_an_interval_and_a_sentence()
    {
        string dataset = await AddDataset();
        var (version, _) = await service.Add(20);

        JsonNode comparison = (await Ended(await Post("/evaluations/compare", new { models = new[] { Shipped, $"small@{version}" }, dataset, split = "dev" })))["comparison"]!;

        Assert.Equal(3, (int)comparison["photos"]!);
        Assert.InRange((double)comparison["difference"]!, (double)comparison["low"]!, (double)comparison["high"]!);
        JsonArray apart = comparison["apart"]!.AsArray();
        Assert.InRange(apart.Count, 1, 3);      // those whose captions differ
        Assert.All(apart, photo => Assert.NotEqual((string)photo!["first"]!, (string)photo["second"]!));
        double[] distances = [.. apart.Select(photo => Math.Abs((double)photo!["firstCider"]! - (double)photo["secondCider"]!))];
        Assert.Equal(distances.OrderDescending(), distances);
        Assert.Matches(@"^(better|worse|no clear difference): CIDEr [+-]\d+\.\d, 95 % between [+-]\d+\.\d and [+-]\d+\.\d \(shipped@1 against small@\d+, 3 photos\)", (string)comparison["sentence"]!);
    }

    [Fact]
    public async Task The_gate_activates_what_is_better_beyond_chance_and_says_why()
    {
        string dataset = await AddDataset();
        await service.Activate(Shipped, 1);
        var registry = service.Factory.Services.GetRequiredService<ModelRegistry>();
        var gate = service.Factory.Services.GetRequiredService<ModelGate>();
        // A model that a job left in its folder; the results are given, so that the decision is known.
        using var made = new SmallBundle("top-down", 21);
        RegisteredModel candidate = await registry.Publish(made.Folder, "job1", dataset, Service.Cancellation);
        Assert.Equal(candidate, await registry.Publish(made.Folder, "job1", dataset, Service.Cancellation));
        Assert.Equal(("job1", dataset), (candidate.JobId, candidate.DatasetId));
        RegisteredModel active = registry.Default!;
        Give(active, dataset, [0.5, 0.6, 0.4, 0.7]);

        Give(candidate, dataset, [0.51, 0.55, 0.42, 0.7]);
        GateDecision unclear = await gate.Decide(candidate, [dataset], Service.Cancellation);
        Assert.False(unclear.Activated);
        Assert.StartsWith("Not activated: no clear difference: CIDEr -0.5", unclear.Sentence, StringComparison.Ordinal);

        Give(candidate, dataset, [0.8, 0.8, 0.7, 0.9]);
        GateDecision better = await gate.Decide(candidate, [dataset], Service.Cancellation);
        Assert.True(better.Activated, better.Sentence);
        Assert.StartsWith("Activated: better: CIDEr +25.0, 95 % between +2", better.Sentence, StringComparison.Ordinal);
        Assert.Equal(candidate.Reference, await service.Active());
        JsonNode version = (await Answer.Get(service.Client, "/models/small")).Body["versions"]!.AsArray().Last()!;
        Assert.Equal(("job1", dataset), ((string?)version["job"], (string?)version["dataset"]));
        await service.Activate(Shipped, 1);
    }

    [Fact]
    public async Task Of_several_data_sets_the_gate_wants_one_better_and_none_worse()
    {
        string[] datasets = [await AddDataset(), await AddDataset()];
        await service.Activate(Shipped, 1);
        var registry = service.Factory.Services.GetRequiredService<ModelRegistry>();
        var gate = service.Factory.Services.GetRequiredService<ModelGate>();
        using var made = new SmallBundle("top-down", 23);
        RegisteredModel candidate = await registry.Publish(made.Folder, "job3", datasets[0], Service.Cancellation), active = registry.Default!;
        double[] before = [0.5, 0.6, 0.4, 0.7], unclear = [0.51, 0.55, 0.42, 0.7], better = [0.8, 0.8, 0.7, 0.9], worse = [0.2, 0.3, 0.2, 0.4];
        Array.ForEach(datasets, dataset => Give(active, dataset, before));

        Assert.Matches($@"^Not activated: better on 0 of 2 data sets, worse on 0\. {datasets[0]}: no clear difference: CIDEr -0\.5, .+ narrow it\. {datasets[1]}: no clear difference: CIDEr -0\.5, .+ narrow it\.$", await Decided(unclear, unclear));
        Assert.Matches($@"^Not activated: better on 1 of 2 data sets, worse on 1\. {datasets[0]}: better: CIDEr \+25\.0, .+ 4 photos\)\. {datasets[1]}: worse: CIDEr -27\.5, .+ 4 photos\)\.$", await Decided(better, worse));
        Assert.Equal(active.Reference, await service.Active());
        Assert.Matches($@"^Activated: better on 1 of 2 data sets, worse on 0\. {datasets[0]}: no clear difference: CIDEr -0\.5, .+ narrow it\. {datasets[1]}: better: CIDEr \+25\.0, .+ 4 photos\)\.$", await Decided(unclear, better));
        Assert.Equal(candidate.Reference, await service.Active());
        await service.Activate(Shipped, 1);

        async Task<string> Decided(double[] first, double[] second)
        {
            Give(candidate, datasets[0], first);
            Give(candidate, datasets[1], second);
            return (await gate.Decide(candidate, datasets, Service.Cancellation)).Sentence;
        }
    }

    [Fact]
    public async Task A_jobs_model_of_given_features_is_kept_but_cannot_be_activated_nor_uploaded()
    {
        using var small = new SmallBundle("show-and-tell", 22);
        using var decoder = CaptionDecoder.Create(small.Decoder.Options with { SingleVector = true, FeatureSize = 40 });
        string folder = small.File("features");
        BundleWriter.Save(folder, SmallBundle.Describe(decoder) with { Name = "features" }, SmallBundle.Words, decoder);

        RegisteredModel kept = await service.Factory.Services.GetRequiredService<ModelRegistry>().Publish(folder, "job2", "dataset", Service.Cancellation);

        Assert.Equal("features@1", kept.Reference);
        Answer refused = (await service.Activate("features", 1)).IsProblem(422, "model_refused");
        Assert.Contains("40 values", (string)refused.Body["detail"]!, StringComparison.Ordinal);
        (await service.Upload(ModelService.Zip(Directory.GetFiles(folder).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file)))))).IsProblem(422, "model_refused");
    }

    [Fact]
    public async Task What_cannot_be_evaluated_is_refused_by_name()
    {
        string dataset = await AddDataset();
        (await Post("/evaluations", new { model = "none", dataset })).IsProblem(404, "model_not_found");
        (await Post("/evaluations", new { model = Shipped, dataset = "abcdefghijkl" })).IsProblem(404, "dataset_not_found");
        (await Post("/evaluations", new { model = Shipped, dataset, split = "test" })).IsProblem(400, "invalid_option");
        (await Post("/evaluations", new { dataset })).IsProblem(400, "invalid_option");
        (await Post("/evaluations/compare", new { models = new[] { Shipped }, dataset })).IsProblem(400, "invalid_option");
        (await Answer.Get(service.Client, "/evaluations/none")).IsProblem(404, "evaluation_not_found");
        Answer misspelt = (await Post("/evaluations", new { model = Shipped, dataset, splitt = "dev" })).IsProblem(400, "invalid_option");
        Assert.Contains("'splitt'", (string)misspelt.Body["detail"]!, StringComparison.Ordinal);

        string french = await AddDataset("fr");
        (await Post("/evaluations", new { model = Shipped, dataset = french })).IsProblem(400, "invalid_option");
        string broken = await AddDataset();
        File.Delete(Path.Combine(service.Factory.Storage, "datasets", broken, "dev.txt"));
        JsonNode failed = await Ended(await Post("/evaluations", new { model = Shipped, dataset = broken }), "failed");
        Assert.Contains("dev.txt", (string)failed["error"]!, StringComparison.Ordinal);
    }

    private async Task<string> AddDataset(string language = "en")
    {
        string id = Ids.New(), folder = Path.Combine(service.Factory.Storage, "datasets", id), photos = Path.Combine(folder, "photos");
        Directory.CreateDirectory(photos);
        foreach (string name in Captions.Keys)
        {
            File.Copy(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"), Path.Combine(photos, name + ".jpg"));
        }
        await File.WriteAllLinesAsync(Path.Combine(folder, "captions.token.txt"), Captions.SelectMany(photo => photo.Value.Select((caption, k) => $"{photo.Key}.jpg#{k}\t{caption}")), Service.Cancellation);
        await File.WriteAllLinesAsync(Path.Combine(folder, "train.txt"), ["cat.jpg"], Service.Cancellation);
        await File.WriteAllLinesAsync(Path.Combine(folder, "dev.txt"), ["astronaut.jpg", "rocket.jpg", "temple.jpg"], Service.Cancellation);
        await using CaptionDb db = await service.Factory.Services.GetRequiredService<IDbContextFactory<CaptionDb>>().CreateDbContextAsync(Service.Cancellation);
        db.Add(new Dataset { Id = id, Name = "samples", Language = language, Status = DatasetStatus.Ready, CreatedAt = TimeProvider.System.GetUtcNow() });
        await db.SaveChangesAsync(Service.Cancellation);
        return id;
    }

    private void Give(RegisteredModel model, string dataset, double[] cider)
    {
        string folder = Path.Combine(service.Factory.Storage, "evaluations", $"{model.Card.Digest[..32]}-{dataset}-dev");
        Directory.CreateDirectory(folder);
        var result = new EvaluationResult(model.Reference, model.Card.Digest, "dev", cider.Length, 3, 0.7, new Dictionary<string, double>(), [], [],
            [.. cider.Select((score, i) => new EvaluatedPhoto($"{i}.jpg", "A cat.", score))]);
        File.WriteAllBytes(Path.Combine(folder, "result.json"), JsonSerializer.SerializeToUtf8Bytes(result, TrainingEvent.Json));
    }

    private Task<Answer> Post(string path, object body) => Answer.To(service.Client, path, new StringContent(JsonSerializer.Serialize(body), System.Text.Encoding.UTF8, "application/json"));

    private async Task<JsonNode> Ended(Answer queued, string state = "succeeded")
    {
        Assert.True(queued.Status == 202, queued.Body.ToJsonString());
        JsonNode evaluation;
        while ((string?)(evaluation = (await Answer.Get(service.Client, $"/evaluations/{queued.Body["id"]}")).Body)["state"] is "queued" or "running")
        {
            await Task.Delay(100, Service.Cancellation);
        }
        Assert.True((string?)evaluation["state"] == state, evaluation.ToJsonString());
        return evaluation;
    }
}
