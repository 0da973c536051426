using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>What is asked of jobs and what is refused, on both databases. No job here gets as far as a trainer.</summary>
public sealed class TrainingJobsApiTests(Service service, Databases databases)
{
    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task Jobs_are_made_found_listed_and_cancelled(string kind)
    {
        Dictionary<string, string> database = await databases.Fresh(kind);
        await using ServiceFactory factory = Factory(database);
        using HttpClient client = await factory.Start(ready: false);
        (string checking, string refused) = (await Add(factory.Storage, database, "checking"), await Add(factory.Storage, database, "refused"));

        // Options of the preset, of the request, and of its shorthands.
        string first = await TrainingService.StartJob(client, checking, SmallDataset.Job(3));
        JsonNode job = (await Answer.Get(client, $"/training-jobs/{first}")).Body;
        Assert.Equal(("validating", "samples", "best", 7, 0), ((string)job["state"]!, (string)job["name"]!, (string)job["preset"]!, (int)job["seed"]!, (int)job["attempt"]!));
        Assert.Equal((3, 32, 0.4, 7), ((int)job["options"]!["epochs"]!, (int)job["options"]!["hidden"]!, (double)job["options"]!["dropout"]!, (int)job["options"]!["seed"]!));
        Assert.NotNull(job["times"]!["validating"]);

        // The list: newest first, by page, by state.
        var made = new List<string> { first };
        for (int i = 0; i < 4; i++)
        {
            made.Add(await TrainingService.StartJob(client, checking));
        }
        Assert.Equal(202, (await Post(client, $"/training-jobs/{first}/cancel")).Status);
        var listed = new List<string>();
        for (string? next = ""; next is not null;)
        {
            JsonNode page = (await Answer.Get(client, $"/training-jobs?limit=2&before={next}")).Body;
            listed.AddRange(page["jobs"]!.AsArray().Select(j => (string)j!["id"]!));
            next = (string?)page["next"];
        }
        Assert.Equal(made.AsEnumerable().Reverse(), listed);
        Assert.Equal([first], (await Answer.Get(client, "/training-jobs?state=cancelled,failed")).Body["jobs"]!.AsArray().Select(j => (string)j!["id"]!));
        Assert.Equal(4, (await Answer.Get(client, $"/training-jobs?state=validating&dataset={checking}")).Body["jobs"]!.AsArray().Count);

        // What there is not, and what does not go.
        (await Answer.Get(client, "/training-jobs/aaaaaaaaaaaa")).IsProblem(404, "job_not_found");
        (await Answer.Get(client, "/training-jobs?state=sleeping")).IsProblem(400, "invalid_option");
        (await Answer.Get(client, "/training-jobs?limit=0")).IsProblem(400, "invalid_option");
        (await Post(client, $"/training-jobs/{made[1]}/resume")).IsProblem(409, "job_state");
        (await Post(client, "/training-jobs", new JsonObject { ["dataset"] = "aaaaaaaaaaaa", ["preset"] = "best" })).IsProblem(404, "dataset_not_found");
        (await Post(client, "/training-jobs", new JsonObject { ["dataset"] = refused, ["preset"] = "best" })).IsProblem(409, "dataset_not_ready");
        Assert.Empty((await Answer.Get(client, $"/training-jobs/{first}/checkpoints")).Body["checkpoints"]!.AsArray());
        Assert.Equal("", await client.GetStringAsync($"/training-jobs/{first}/log", Service.Cancellation));
    }

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task Job_of_several_data_sets_is_found_by_each_waits_for_all_and_keeps_all(string kind)
    {
        Dictionary<string, string> database = await databases.Fresh(kind);
        await using ServiceFactory factory = Factory(database);
        using HttpClient client = await factory.Start(ready: false);
        (string one, string two, string three) = (await Add(factory.Storage, database, "checking"), await Add(factory.Storage, database, "checking"), await Add(factory.Storage, database, "checking"));
        (string ready, string refused, string german) = (await Add(factory.Storage, database, "ready"), await Add(factory.Storage, database, "refused"), await Add(factory.Storage, database, "checking", "de"));

        string first = await Start(Of(one, weight: 0.5), Of(two, trust: "model"), Of(ready));
        string second = await Start(Of(one), Of(three, weight: 2, trust: "human"));
        string plain = await Start(Of(one));        // one as it would be with dataset

        JsonNode job = (await Answer.Get(client, $"/training-jobs/{first}")).Body;
        Assert.Equal(("validating", one, "samples"), ((string)job["state"]!, (string)job["dataset"]!, (string)job["name"]!));
        Assert.Equal([(one, 0.5, "human"), (two, 1, "model"), (ready, 1, "human")], Datasets(job));
        Assert.Equal([(one, 1, "human"), (three, 2, "human")], Datasets((await Answer.Get(client, $"/training-jobs/{second}")).Body));
        Assert.Equal([(one, 1, "human")], Datasets((await Answer.Get(client, $"/training-jobs/{plain}")).Body));
        await using (CaptionDb db = Databases.Open(database, factory.Storage))
        {
            Assert.Equal([plain], await db.TrainingJobs.Where(j => j.Datasets == null).Select(j => j.Id).ToListAsync(Service.Cancellation));
        }

        // Found by each of its data sets, in whatever place, and by nothing else.
        Assert.Equal([plain, second, first], await Listed(one));
        Assert.Equal([first], await Listed(two));
        Assert.Equal([second], await Listed(three));
        Assert.Equal([first], await Listed(ready));
        Assert.Empty(await Listed("human"));
        Assert.Empty(await Listed(two[..11]));

        // Kept as long as the job is not done.
        foreach ((string used, string by) in new[] { (two, first), (ready, first), (three, second) })
        {
            using HttpResponseMessage kept = await client.DeleteAsync($"/datasets/{used}", Service.Cancellation);
            Assert.Contains(by, (string)(await Answer.Read(kept)).IsProblem(409, "dataset_in_use").Body["detail"]!, StringComparison.Ordinal);
        }

        // What cannot be trained on together.
        Refused(await Asked(Of(one), Of("aaaaaaaaaaaa")), 404, "dataset_not_found", "datasets[1].id");
        Refused(await Asked(Of(one), Of(refused)), 409, "dataset_not_ready", "datasets[1].id names was refused: no photo can be read");
        Refused(await Asked(Of(one), Of(two), Of(german)), 400, "invalid_option", "datasets[2].id names a data set in 'de'");

        // One that turns out unfit fails the job, which then holds none of the others.
        await using (CaptionDb db = Databases.Open(database, factory.Storage))
        {
            (await db.Datasets.SingleAsync(d => d.Id == two, Service.Cancellation)).Status = DatasetStatus.Refused;
            db.Datasets.Remove(await db.Datasets.SingleAsync(d => d.Id == three, Service.Cancellation));
            await db.SaveChangesAsync(Service.Cancellation);
        }
        Assert.StartsWith($"The data set '{two}' was refused", await Failed(first), StringComparison.Ordinal);
        Assert.Equal($"The data set '{three}' is gone.", await Failed(second));
        Assert.Equal("validating", (string?)(await Answer.Get(client, $"/training-jobs/{plain}")).Body["state"]);
        using HttpResponseMessage deleted = await client.DeleteAsync($"/datasets/{ready}", Service.Cancellation);
        Assert.Equal(204, (int)deleted.StatusCode);

        static JsonObject Of(string id, double? weight = null, string? trust = null) => new() { ["id"] = id, ["weight"] = weight, ["trust"] = trust };

        static IEnumerable<(string, double, string)> Datasets(JsonNode job) => job["datasets"]!.AsArray().Select(d => ((string)d!["id"]!, (double)d["weight"]!, (string)d["trust"]!));

        static void Refused(Answer answer, int status, string code, string said) =>
            Assert.Contains(said, (string)answer.IsProblem(status, code).Body["detail"]!, StringComparison.Ordinal);

        Task<string> Start(params JsonNode[] several) => TrainingService.StartJob(client, new JsonObject { ["datasets"] = new JsonArray(several), ["preset"] = "best" });

        Task<Answer> Asked(params JsonNode[] several) => Post(client, "/training-jobs", new JsonObject { ["datasets"] = new JsonArray(several), ["preset"] = "best" });

        async Task<IEnumerable<string>> Listed(string dataset) => (await Answer.Get(client, $"/training-jobs?dataset={dataset}")).Body["jobs"]!.AsArray().Select(j => (string)j!["id"]!);

        async Task<string> Failed(string id)
        {
            JsonNode job;
            while ((string)(job = (await Answer.Get(client, $"/training-jobs/{id}")).Body)["state"]! == "validating")
            {
                await Task.Delay(50, Service.Cancellation);
            }
            Assert.Equal("failed", (string?)job["state"]);
            return (string)job["error"]!;
        }
    }

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task Idempotency_key_finds_the_same_job(string kind)
    {
        Dictionary<string, string> database = await databases.Fresh(kind);
        await using ServiceFactory factory = Factory(database);
        using HttpClient client = await factory.Start(ready: false);
        string dataset = await Add(factory.Storage, database, "checking");
        string body = $$"""{"dataset": "{{dataset}}", "preset": "best"}""", other = $$"""{"dataset": "{{dataset}}", "preset": "tutorial"}""";

        Answer first = await Send("\"key-1\"", body);
        Assert.Equal(202, first.Status);
        Answer again = await Send("key-1", body);        // quoted or not, it is the same key
        Assert.Equal((202, (string)first.Body["id"]!), (again.Status, (string)again.Body["id"]!));
        Assert.NotEqual((string)first.Body["id"]!, (string)(await Send("key-2", body)).Body["id"]!);
        (await Send("key-1", other)).IsProblem(422, "idempotency_key_reused");
        (await Send(new string('k', 256), body)).IsProblem(400, "invalid_option");

        // A refused request leaves the key free.
        (await Send("key-3", """{"dataset": ""}""")).IsProblem(400, "invalid_option");
        Assert.Equal(202, (await Send("key-3", body)).Status);

        // One that is under way holds it; one whose server died does not hold it for ever.
        await using (CaptionDb db = Databases.Open(database, factory.Storage))
        {
            string digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(body)));
            db.IdempotencyKeys.Add(new() { Key = "under-way", BodyDigest = digest, CreatedAt = TimeProvider.System.GetUtcNow() });
            db.IdempotencyKeys.Add(new() { Key = "abandoned", BodyDigest = digest, CreatedAt = TimeProvider.System.GetUtcNow() - TimeSpan.FromHours(1) });
            await db.SaveChangesAsync(Service.Cancellation);
        }
        (await Send("under-way", body)).IsProblem(409, "idempotency_key_in_use");
        Assert.Equal(202, (await Send("abandoned", body)).Status);

        // At once: one job, and everybody who was answered knows it.
        Answer[] racing = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Send("race", body)));
        Assert.All(racing, answer => Assert.True(answer.Status is 202 or 409, answer.Body.ToJsonString()));
        Assert.Single(racing.Where(answer => answer.Status == 202).Select(answer => (string)answer.Body["id"]!).Distinct());

        async Task<Answer> Send(string key, string json)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/training-jobs") { Content = new StringContent(json, new MediaTypeHeaderValue("application/json")) };
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
            using HttpResponseMessage response = await client.SendAsync(request, Service.Cancellation);
            return await Answer.Read(response);
        }
    }

    [Fact]
    public async Task Every_option_is_described_and_refused_out_of_its_range_by_name()
    {
        HttpClient client = service.Client;
        string dataset = await Add(service.Storage, [], "checking");
        JsonArray presets = (await Answer.Get(client, "/training-presets")).Body["presets"]!.AsArray();
        Assert.Equal(["tutorial", "attend", "quick", "best"], presets.Select(p => (string)p!["name"]!));
        JsonArray options = presets[3]!["options"]!.AsArray();
        Assert.Equal(typeof(TrainingOptions).GetProperties().Count(p => p.CanWrite), options.Count);
        foreach (JsonNode? option in options)
        {
            string name = (string)option!["name"]!;
            Assert.NotEmpty((string)option["description"]!);
            Assert.NotNull(option["default"]);
            foreach (JsonNode? wrong in (string)option["type"]! switch
            {
                "integer" => new JsonNode?[] { (double)option["minimum"]! - 1, (double)option["maximum"]! + 1, 1.5, "1" },
                "number" => [(double)option["minimum"]! - 1, (double)option["maximum"]! + 1, true],
                "boolean" => ["yes", 1],
                _ => ["none of them", 1],
            })
            {
                Answer answer = (await Post(client, "/training-jobs", new JsonObject { ["dataset"] = dataset, ["preset"] = "best", ["options"] = new JsonObject { [name] = wrong } })).IsProblem(400, "invalid_option");
                Assert.StartsWith($"{name} is {wrong!.ToJsonString()}; it must be ", (string)answer.Body["detail"]!, StringComparison.Ordinal);
            }
            // Its default is within its range, and null is as good as absent.
            foreach (JsonNode? right in new[] { option["default"]!.DeepClone(), null })
            {
                Assert.Equal(202, (await Post(client, "/training-jobs", new JsonObject { ["dataset"] = dataset, ["preset"] = "best", ["options"] = new JsonObject { [name] = right } })).Status);
            }
        }
    }

    [Theory]
    [InlineData("""{"dataset": "D", "presets": "best"}""", "invalid_option", "presets")]
    [InlineData("""{"dataset": "D", "preset": "better"}""", "invalid_option", "tutorial, attend, quick, best")]
    [InlineData("""{"dataset": "D", "preset": "best", "options": {"learningRat": 1}}""", "invalid_option", "learningRat")]
    [InlineData("""{"dataset": "D", "preset": "best", "options": {"learningRat": null}}""", "invalid_option", "learningRat")]
    [InlineData("""{"dataset": "D", "preset": "best", "options": {"hidden": 100, "heads": 8}}""", "invalid_option", "heads")]
    [InlineData("""{"dataset": "D", "preset": "best", "budget": {"hours": 1}}""", "invalid_option", "budget.hours")]
    [InlineData("""{"dataset": "D", "preset": "best", "budget": {"minutes": 0}}""", "invalid_option", "budget.minutes")]
    [InlineData("""{"dataset": "D", "preset": "best", "budget": {"epochs": 0}}""", "invalid_option", "epochs is 0")]
    [InlineData("""{"dataset": "D", "preset": "best", "seed": -1}""", "invalid_option", "seed is -1")]
    [InlineData("""{"dataset": "D", "preset": "best", "seed": "1"}""", "invalid_option", "seed")]
    [InlineData("""{"dataset": "D", "preset": "best", "name": "No Name"}""", "invalid_option", "name")]
    [InlineData("""{"dataset": "D", "preset": "quick", "options": {"hidden": 64}}""", "invalid_option", "options.hidden")]
    [InlineData("""{"preset": "best"}""", "invalid_option", "dataset")]
    [InlineData("""{"preset": "best", "dataset": null, "datasets": null}""", "invalid_option", "dataset is missing")]
    [InlineData("""{"dataset": "D", "datasets": [{"id": "D"}], "preset": "best"}""", "invalid_option", "dataset and datasets are both given")]
    [InlineData("""{"datasets": "D", "preset": "best"}""", "invalid_option", "datasets is of the wrong type")]
    [InlineData("""{"datasets": [], "preset": "best"}""", "invalid_option", "datasets has 0 entries; it must have 1 to 16")]
    [InlineData("""{"datasets": [{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}], "preset": "best"}""", "invalid_option", "datasets has 17 entries; it must have 1 to 16")]
    [InlineData("""{"datasets": ["D"], "preset": "best"}""", "invalid_option", "datasets[0] is of the wrong type")]
    [InlineData("""{"datasets": [null], "preset": "best"}""", "invalid_option", "datasets[0].id is missing")]
    [InlineData("""{"datasets": [{"id": "D"}, {"weight": 1}], "preset": "best"}""", "invalid_option", "datasets[1].id is missing")]
    [InlineData("""{"datasets": [{"id": "D"}, {"id": "D", "trust": "model"}], "preset": "best"}""", "invalid_option", "2 times; it must have each data set once")]
    [InlineData("""{"datasets": [{"id": "D", "wieght": 1}], "preset": "best"}""", "invalid_option", "datasets[0].wieght")]
    [InlineData("""{"datasets": [{"id": "D", "weight": 0.001}], "preset": "best"}""", "invalid_option", "datasets[0].weight is 0.001; it must be 0.01 to 100")]
    [InlineData("""{"datasets": [{"id": "D", "weight": 101}], "preset": "best"}""", "invalid_option", "datasets[0].weight is 101; it must be 0.01 to 100")]
    [InlineData("""{"datasets": [{"id": "D", "weight": "1"}], "preset": "best"}""", "invalid_option", "datasets[0].weight is of the wrong type")]
    [InlineData("""{"datasets": [{"id": "D", "trust": "nobody"}], "preset": "best"}""", "invalid_option", "datasets[0].trust is 'nobody'; it must be human or model")]
    [InlineData("""{"datasets": [{"id": "D", "trust": "model"}], "preset": "best"}""", "invalid_option", "datasets has none with trust human")]
    [InlineData("""{"dataset": "D",""", "malformed_body", "line 1")]
    [InlineData("null", "malformed_body", "null")]
    [InlineData("", "malformed_body", "JSON")]
    public async Task Request_that_is_wrong_is_told_what(string json, string code, string named)
    {
        string dataset = await Add(service.Storage, [], "checking");
        Answer answer = await Answer.To(service.Client, "/training-jobs", new StringContent(json.Replace("\"D\"", $"\"{dataset}\"", StringComparison.Ordinal), new MediaTypeHeaderValue("application/json")));
        Assert.Contains(named, (string)answer.IsProblem(400, code).Body["detail"]!, StringComparison.Ordinal);
        Assert.Empty((await Answer.Get(service.Client, $"/training-jobs?dataset={dataset}")).Body["jobs"]!.AsArray());
    }

    private static ServiceFactory Factory(Dictionary<string, string> database) => new(host =>
    {
        ServiceFactory.WithoutModels(host);
        foreach ((string name, string value) in database)
        {
            host.UseSetting(name, value);
        }
    });

    private static async Task<string> Add(string storage, Dictionary<string, string> database, string status, string language = "en")
    {
        string id = Ids.New();
        Dataset row = SmallDataset.Row(id, status);
        row.Language = language;
        await using CaptionDb db = Databases.Open(database, storage);
        db.Datasets.Add(row);
        await db.SaveChangesAsync(Service.Cancellation);
        return id;
    }

    private static Task<Answer> Post(HttpClient client, string path, JsonObject? body = null) => Answer.To(client, path, body is null ? new ByteArrayContent([]) : JsonContent.Create(body));
}
