using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Tests;

namespace CaptionService.Api.Tests.Models;

public sealed class ModelsOnSqliteTests(ModelServiceOnSqlite service) : ModelsTests(service), IClassFixture<ModelServiceOnSqlite>;

public sealed class ModelsOnPostgresTests(ModelServiceOnPostgres service) : ModelsTests(service), IClassFixture<ModelServiceOnPostgres>;

/// <summary>The registry, on both databases.</summary>
public abstract class ModelsTests(ModelService service)
{
    private const string Shipped = ShippedSmall.Name;

    private Task<Answer> Reset() => service.Activate(Shipped, 1);

    [Fact]
    public async Task The_shipped_model_is_version_1_and_cannot_be_deleted()
    {
        await Reset();
        JsonNode model = (await Answer.Get(service.Client, "/models/" + Shipped)).Body;

        JsonNode version = model["versions"]![0]!;
        Assert.Equal(1, (int)version["version"]!);
        Assert.True((bool)version["shipped"]! && (bool)version["active"]!);
        Assert.Equal(409, await service.Delete(Shipped, 1));
        var (other, _) = await service.Add(1);
        await service.Activate("small", other);
        Assert.Equal(409, await service.Delete(Shipped, 1));
        await Reset();
    }

    [Fact]
    public async Task An_upload_becomes_the_next_version_and_answers_when_it_is_asked_for_or_activated()
    {
        await Reset();
        var (first, _) = await service.Add(2);
        var (second, digest) = await service.Add(3);

        Assert.Equal(first + 1, second);
        Assert.Equal($"small@{first}", ModelService.MadeBy(await service.Caption($"?model=small@{first}")));
        Assert.Equal($"small@{second}", ModelService.MadeBy(await service.Caption("?model=small")));        // none is active: the newest
        Assert.Equal($"{Shipped}@1", ModelService.MadeBy(await service.Caption()));

        Answer activated = await service.Activate("small", first);
        Assert.True((bool)activated.Body["active"]!, activated.Body.ToJsonString());
        Assert.Equal($"small@{first}", ModelService.MadeBy(await service.Caption()));
        Assert.Equal($"small@{first}", ModelService.MadeBy(await service.Caption("?model=small")));
        Assert.Equal($"small@{first}", await service.Active());
        Assert.Equal(digest, (string?)(await service.Caption($"?model=small@{second}")).Body["models"]![0]!["digest"]);

        (await service.Caption("?model=small@999")).IsProblem(404, "model_not_found");
        (await service.Caption("?model=small@x")).IsProblem(404, "model_not_found");
        (await service.Activate("small", 999)).IsProblem(404, "model_not_found");
    }

    [Fact]
    public async Task Rollback_goes_back_step_by_step_and_then_says_that_there_is_nothing()
    {
        await Reset();
        var (first, _) = await service.Add(4);
        var (second, _) = await service.Add(5);
        await service.Activate("small", first);
        await service.Activate("small", second);

        Assert.Equal(first, (int)(await service.Post("/models/small/rollback")).Body["version"]!);
        Assert.Equal(Shipped, (string?)(await service.Post("/models/small/rollback")).Body["name"]);
        Assert.Equal($"{Shipped}@1", ModelService.MadeBy(await service.Caption()));
        (await service.Post("/models/small/rollback")).IsProblem(409, "no_earlier_model");
        (await service.Post("/models/none/rollback")).IsProblem(404, "model_not_found");
    }

    [Fact]
    public async Task The_active_version_cannot_be_deleted_and_a_number_is_never_given_twice()
    {
        await Reset();
        var (version, _) = await service.Add(6);
        await service.Activate("small", version);
        Assert.Equal(409, await service.Delete("small", version));
        await Reset();

        Assert.Equal(204, await service.Delete("small", version));

        Assert.False(Directory.Exists(service.FolderOf("small", version)));
        Assert.Equal(404, await service.Delete("small", version));
        (await service.Caption($"?model=small@{version}")).IsProblem(404, "model_not_found");
        Assert.Equal(version + 1, (await service.Add(6)).Version);
    }

    [Fact]
    public async Task What_is_downloaded_can_be_uploaded_and_has_the_same_weights()
    {
        var (version, digest) = await service.Add(7, "show-attend-and-tell");
        using HttpResponseMessage response = await service.Client.GetAsync($"/models/small/versions/{version}/download", Service.Cancellation);

        Assert.Equal("application/zip", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal($"small-{version}.zip", response.Content.Headers.ContentDisposition?.FileName);
        byte[] zip = await response.Content.ReadAsByteArrayAsync(Service.Cancellation);
        Answer again = await service.Upload(zip);

        Assert.Equal(201, again.Status);
        Assert.Equal(digest, (string?)again.Body["digest"]);
        int copy = (int)again.Body["version"]!;
        foreach (string file in Directory.GetFiles(service.FolderOf("small", version)))
        {
            Assert.Equal(Sha256.OfFile(file), Sha256.OfFile(Path.Combine(service.FolderOf("small", copy), Path.GetFileName(file))));
        }
        using var form = new MultipartFormDataContent { { new ByteArrayContent(zip), "bundle", "small.zip" } };
        Assert.Equal(copy + 1, (int)(await Answer.To(service.Client, "/models", form)).Body["version"]!);
        Assert.Equal(404, (await Answer.Get(service.Client, "/models/small/versions/999/download")).Status);
    }

    [Fact]
    public async Task A_model_that_has_learnt_of_the_encoder_is_uploaded_captions_and_is_downloaded_with_that()
    {
        using var bundle = new SmallBundle("top-down", 21);
        using var adapter = new EncoderAdapter(2);
        BundleWriter.Save(bundle.Folder, bundle.Card, SmallBundle.Words, bundle.Decoder, adapter: adapter);
        await TravelsWith("adapter.safetensors", bundle);
    }

    [Fact]
    public async Task A_model_that_ranks_by_what_it_expects_is_uploaded_captions_and_is_downloaded_with_that()
    {
        using var bundle = new SmallBundle("top-down", 22);
        bundle.Expect("dog");
        await TravelsWith("expected-cider.safetensors", bundle);
    }

    private async Task TravelsWith(string optional, SmallBundle bundle)
    {
        await Reset();
        (string Name, byte[] Bytes)[] files = [.. Directory.GetFiles(bundle.Folder).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file)))];
        Assert.Contains(files, file => file.Name == optional);
        Answer added = await service.Upload(ModelService.Zip(files));
        Assert.True(added.Status == 201, added.Body.ToJsonString());
        int version = (int)added.Body["version"]!;

        Assert.Equal($"small@{version}", ModelService.MadeBy(await service.Caption($"?model=small@{version}")));
        // Whole first: a zip is read blocking, on a thread of the pool that the server in this process may need.
        using var zip = new ZipArchive(new MemoryStream(await service.Client.GetByteArrayAsync($"/models/small/versions/{version}/download", Service.Cancellation)));
        Assert.Equal(files.Select(file => file.Name).Order(), zip.Entries.Select(entry => entry.Name).Order());

        Answer refused = await service.Upload(ModelService.Zip(files.Where(file => file.Name != optional)));
        refused.IsProblem(422, "model_refused");
        Assert.Contains(optional, (string?)refused.Body["detail"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_calibrated_model_gives_confidences_and_shows_what_they_are_worth_and_another_says_why_not()
    {
        await Reset();
        Answer added = await service.Upload(ModelService.Bundle(14, calibrated: true));
        Assert.True(added.Status == 201, added.Body.ToJsonString());
        int version = (int)added.Body["version"]!;
        Answer answer = await service.Caption($"?model=small@{version}&count=5");
        Assert.Equal(5, answer.Captions().Count);
        Assert.All(answer.Captions(), caption => Assert.InRange((double)caption!["confidence"]!, 0, 1));
        Assert.Null(answer.Body["models"]![0]!["whyNoConfidence"]);

        JsonNode model = (await Answer.Get(service.Client, "/models/small")).Body;
        Assert.Equal(version, (int)model["version"]!);
        Assert.Null(model["whyNoConfidence"]);
        JsonNode calibration = model["calibration"]!;
        Assert.Equal(Calibration.Meaning, (string?)calibration["definition"]);
        Assert.Equal(["meanLogProbability", "words", "spread"], calibration["features"]!.AsArray().Select(feature => (string?)feature!["name"]));
        Assert.All(calibration["features"]!.AsArray(), feature => Assert.NotEmpty((string)feature!["meaning"]!));
        Assert.Equal((240, 120, 240), ((int)calibration["fitted"]!["photos"]!, (int)calibration["check"]!["photos"]!, (int)calibration["crossCheck"]!["photos"]!));
        JsonNode check = calibration["check"]!;
        Assert.Equal((0.02, 0.2, 0.7), ((double)check["ece"]!, (double)check["brier"]!, (double)check["auroc"]!));
        Assert.Equal("[0.01,0.05]", check["eceInterval"]!.ToJsonString());
        Assert.Equal("""[{"from":0.5,"coverage":0.25,"right":0.6},{"from":0.9,"coverage":0,"right":null}]""", check["riskCoverage"]!.ToJsonString());

        using HttpResponseMessage zip = await service.Client.GetAsync($"/models/small/versions/{version}/download", Service.Cancellation);
        Assert.Equal(201, (await service.Upload(await zip.Content.ReadAsByteArrayAsync(Service.Cancellation))).Status);
        Assert.Equal(Sha256.OfFile(Path.Combine(service.FolderOf("small", version), BundleFiles.Calibration)),
            Sha256.OfFile(Path.Combine(service.FolderOf("small", version + 1), BundleFiles.Calibration)));

        var (plain, _) = await service.Add(15);
        answer = await service.Caption($"?model=small@{plain}");
        Assert.All(answer.Captions(), caption => Assert.True(caption!.AsObject().ContainsKey("confidence") && caption["confidence"] is null));
        Assert.Contains("calibrate", (string)answer.Body["models"]![0]!["whyNoConfidence"]!, StringComparison.Ordinal);
        model = (await Answer.Get(service.Client, "/models/small")).Body;
        Assert.Null(model["calibration"]);
        Assert.Contains("calibrate", (string)model["whyNoConfidence"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_zip_of_the_folder_itself_is_taken_too() =>
        Assert.Equal(201, (await service.Upload(ModelService.Zip(ModelService.Files(8).Select(file => ("model/" + file.Name, file.Bytes))))).Status);

    public static TheoryData<string, string> Hostile => new()
    {
        { "not a zip", "no zip" }, { "empty", "no zip" }, { "cut", "no zip" }, { "trailing", "no zip" }, { "no files", "model.json" }, { "traversal", "../../evil" },
        { "stranger", "readme.txt" }, { "twice", "twice" }, { "link", "link" }, { "bomb", "larger than" }, { "changed", "SHA-256" }, { "no decoder", "decoder.safetensors" },
        { "too large sizes", "describes at least" }, { "no numbers", "not all numbers" }, { "bad name", "no model name" }, { "null", "model card" }, { "many", "far more files" },
        { "other encoder", "encoder weights" }, { "broken data", "broken" },
        { "endless calibration", "calibration.json has intercept" }, { "huge calibration", "larger than" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public async Task A_hostile_zip_is_refused_by_what_is_wrong_and_leaves_nothing(string what, string said)
    {
        int before = (await Answer.Get(service.Client, "/models")).Body["models"]!.AsArray().Sum(model => model!["versions"]!.AsArray().Count);

        Answer refused = (await service.Upload(HostileBundles.Zip(what))).IsProblem(422, "model_refused");

        Assert.Contains(said, (string)refused.Body["detail"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(service.Factory.Storage, refused.Body.ToJsonString(), StringComparison.Ordinal);
        Assert.Empty(service.Temporary);
        Assert.Equal(before, (await Answer.Get(service.Client, "/models")).Body["models"]!.AsArray().Sum(model => model!["versions"]!.AsArray().Count));
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_refused_and_leaves_nothing()
    {
        (await service.Upload(new byte[1_000_001])).IsProblem(413, "body_too_large");
        using var unknownLength = new StreamContent(new MemoryStream(RandomNumberGenerator.GetBytes(1_100_000)));
        unknownLength.Headers.ContentLength = null;
        using var request = new HttpRequestMessage(HttpMethod.Post, "/models") { Content = unknownLength };
        request.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        (await Answer.Read(response)).IsProblem(413, "body_too_large");
        Assert.Empty(service.Temporary);
    }

    [Fact]
    public async Task A_bundle_that_was_broken_on_the_disk_leaves_the_old_one_in_service()
    {
        await Reset();
        var (version, _) = await service.Add(9);
        string weights = Path.Combine(service.FolderOf("small", version), BundleFiles.Decoder);
        byte[] bytes = await File.ReadAllBytesAsync(weights, Service.Cancellation);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(weights, bytes, Service.Cancellation);

        Answer refused = (await service.Activate("small", version)).IsProblem(422, "model_refused");

        Assert.Contains("decoder.safetensors", (string)refused.Body["detail"]!, StringComparison.Ordinal);
        Assert.Contains($"{Shipped}@1 stays", (string)refused.Body["detail"]!, StringComparison.Ordinal);
        Assert.Equal($"{Shipped}@1", ModelService.MadeBy(await service.Caption()));
        (await service.Caption($"?model=small@{version}")).IsProblem(422, "model_refused");
        Assert.Equal(204, await service.Delete("small", version));
    }

    [Fact]
    public async Task A_request_in_flight_is_answered_by_the_model_it_came_to()
    {
        await Reset();
        var (version, _) = await service.Add(10);
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var released = new ManualResetEventSlim();
        service.Between(caption => jobs =>
        {
            entered.TrySetResult();
            released.Wait();
            return caption(jobs);
        });
        Task<Answer> running = service.Caption();
        await entered.Task;
        Task<Answer> waiting = service.Caption();
        await service.Factory.Waiting(1);

        Answer activated = await service.Activate("small", version);      // while the worker is busy
        Task<Answer> later = service.Caption();
        released.Set();

        Assert.True((bool)activated.Body["active"]!);
        Assert.Equal($"{Shipped}@1", ModelService.MadeBy(await running));
        Assert.Equal($"{Shipped}@1", ModelService.MadeBy(await waiting));
        Assert.Equal($"small@{version}", ModelService.MadeBy(await later));
        service.Between(null);
        await Reset();
    }

    [Fact]
    public async Task A_hundred_swaps_under_load_fail_no_request_and_every_answer_names_its_maker()
    {
        const string Query = "?beamWidth=1&maxLength=4";
        await Reset();
        var versions = new List<(int Version, string Digest)> { await service.Add(11), await service.Add(12, "show-and-tell") };
        var expected = new Dictionary<int, (string Digest, string Caption)>();
        foreach (var (version, digest) in versions)
        {
            expected[version] = (digest, (await service.Caption($"{Query}&model=small@{version}")).Best());
        }
        Assert.Equal(2, expected.Values.Select(known => known.Caption).Distinct().Count());
        await service.Activate("small", versions[0].Version);

        var watch = Stopwatch.StartNew();
        using var stop = new CancellationTokenSource();
        var answered = new ConcurrentDictionary<int, int>();
        Task[] clients = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(Ask))];
        int swaps = 0;
        while ((swaps < 100 || answered.Count < expected.Count) && !clients.Any(client => client.IsCompleted))      // until each has answered; a client ends early only when it fails
        {
            Answer activated = await service.Activate("small", versions[++swaps % 2].Version);
            Assert.True(activated.Status == 200, activated.Body.ToJsonString());
        }
        await stop.CancelAsync();
        await Task.WhenAll(clients);

        TestContext.Current.TestOutputHelper?.WriteLine($"{swaps} swaps in {watch.Elapsed.TotalSeconds:0.0} s, {answered.Values.Sum()} answers");
        await Reset();

        async Task Ask()
        {
            while (!stop.IsCancellationRequested)
            {
                Answer answer = await service.Caption(Query);
                Assert.True(answer.Status == 200, answer.Body.ToJsonString());
                int version = (int)answer.Body["models"]![0]!["version"]!;
                Assert.Equal(expected[version], ((string)answer.Body["models"]![0]!["digest"]!, answer.Best()));
                answered.AddOrUpdate(version, 1, (_, count) => count + 1);
            }
        }
    }
}
