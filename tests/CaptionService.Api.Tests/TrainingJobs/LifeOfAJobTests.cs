using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>Jobs that are killed, orphaned, terminated, cancelled and resumed, with a real server and real trainers.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class LifeOfAJobTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    private const int Epochs = 60;

    [Fact]
    public async Task Broken_in_every_way_a_job_ends_with_the_weights_of_an_unbroken_one()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Processes are found in /proc.");
        await using var service = new TrainingService(await databases.Fresh(), features, output);
        await service.Start();
        string dataset = await service.AddDataset();
        string broken = await service.StartJob(dataset, SmallDataset.Job(Epochs));

        // kill -9 of the trainer
        await service.Further(broken, attempt: 1);
        using (Process trainer = Process.GetProcessById(service.Trainers().Single()))
        {
            Assert.Equal("1", Nice(trainer.Id));
            string[] environment = (await File.ReadAllTextAsync($"/proc/{trainer.Id}/environ", Service.Cancellation)).Split('\0');
            Assert.Contains("CUDA_VISIBLE_DEVICES=0", environment);
            Assert.Contains("PYTORCH_ALLOC_CONF=per_process_memory_fraction:0.5", environment);
            trainer.Kill();
        }
        await service.Further(broken, attempt: 2);
        Assert.Equal(2, (int)(await service.Job(broken))["attempt"]!);

        // kill -9 of the server: the trainer saves and leaves by itself
        await service.Kill();
        await service.UntilNoTrainer();
        await service.Start();
        await service.Further(broken, attempt: 3);

        // kill -9 of both
        int[] both = service.Trainers();
        await service.Kill();
        foreach (int pid in both)
        {
            using (Process.Start("/bin/kill", ["-9", $"{pid}"])) { }
        }
        await service.Start();
        await service.Further(broken, attempt: 4);

        // SIGTERM of the server
        await service.Terminate();
        Assert.Empty(service.Trainers());
        await service.Start();
        await service.Further(broken, attempt: 5);

        // cancelled and resumed
        Assert.Equal(202, (await Answer.To(service.Client, $"/training-jobs/{broken}/cancel", new ByteArrayContent([]))).Status);
        JsonNode cancelled = await service.Until(broken, "cancelled");
        Assert.NotNull(cancelled["times"]!["cancelling"]);
        Assert.NotNull(cancelled["times"]!["cancelled"]);
        Assert.Empty(service.Trainers());
        Assert.Equal(202, (await Answer.To(service.Client, $"/training-jobs/{broken}/resume", new ByteArrayContent([]))).Status);
        (await Answer.To(service.Client, $"/training-jobs/{broken}/resume", new ByteArrayContent([]))).IsProblem(409, "job_state");

        JsonNode job = await service.Until(broken, "succeeded");
        Assert.Equal(6, (int)job["attempt"]!);
        string whole = await service.StartJob(dataset, SmallDataset.Job(Epochs));
        await service.Until(whole, "succeeded");

        // What the last of the servers measured: the attempt that was cancelled, and the two that ended well.
        string metrics = await service.Client.GetStringAsync("/metrics", Service.Cancellation);
        Assert.Equal("1", Measured(metrics, "training_attempt_duration_seconds_count", "training_outcome=\"stopped\""));
        Assert.Equal("2", Measured(metrics, "training_attempt_duration_seconds_count", "training_outcome=\"succeeded\""));
        string seconds = Measured(metrics, "training_attempt_duration_seconds_sum", "training_outcome=\"succeeded\"");
        Assert.True(double.Parse(seconds, CultureInfo.InvariantCulture) > 0);
        Assert.Equal("0", Measured(metrics, "training_active_jobs", ""));

        foreach (string file in (string[])["checkpoint.safetensors", "model/decoder.safetensors"])
        {
            Assert.True(File.ReadAllBytes(service.JobFile(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(service.JobFile(broken, file))), $"{file} differs");
        }
        List<TrainingEvent> events = await service.Events(broken), unbroken = await service.Events(whole);
        Assert.Equal(Enumerable.Range(1, events.Count).Select(i => (long)i), events.Select(e => e.Id));
        Assert.Equal(Enumerable.Range(1, Epochs), events.Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("epoch").GetInt32()));
        Assert.Equal(unbroken.Where(e => e.Type == "epoch").Select(e => e.Data.GetRawText()), events.Where(e => e.Type == "epoch").Select(e => e.Data.GetRawText()));
        Assert.Single(events, e => e.Type == "started");
        Assert.Single(events, e => e.Type == "succeeded");
        Assert.Equal(File.ReadLines(service.JobFile(broken, "events.jsonl")).Count(), events.Count);
        Assert.Equal(4, events.First(e => e.Type == "epoch").Data.GetProperty("samples").GetArrayLength());     // as many as there are dev photos, at most eight
    }

    [Fact]
    public async Task Events_are_streamed_from_where_the_listener_was()
    {
        await using var service = new TrainingService(await databases.Fresh(), features, output);
        await service.Start();
        string job = await service.StartJob(await service.AddDataset(), SmallDataset.Job(12));

        // The connection breaks after each five events; a browser goes on with Last-Event-ID.
        var seen = new List<(long Id, string Type)>();
        var states = new List<string>();
        while (states is not [.., "succeeded"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"/training-jobs/{job}/events");
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
            if (seen.Count > 0)
            {
                request.Headers.Add("Last-Event-ID", $"{seen[^1].Id}");
            }
            using HttpResponseMessage response = await service.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Service.Cancellation);
            Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Service.Cancellation));
            string type = "", id = "";
            int taken = 0;
            while (taken < 5 && await reader.ReadLineAsync(Service.Cancellation) is { } line)
            {
                if (line.StartsWith("id: ", StringComparison.Ordinal))
                {
                    id = line[4..];
                }
                else if (line.StartsWith("event: ", StringComparison.Ordinal))
                {
                    type = line[7..];
                }
                else if (line.StartsWith("data: ", StringComparison.Ordinal) && type == "job")
                {
                    states.Add((string)JsonNode.Parse(line[6..])!["state"]!);
                }
                else if (line.StartsWith("data: ", StringComparison.Ordinal))
                {
                    Assert.Equal(id, $"{JsonNode.Parse(line[6..])!["id"]}");
                    seen.Add((long.Parse(id, null), type));
                    taken++;
                }
            }
        }
        List<TrainingEvent> all = await service.Events(job);
        Assert.Equal(all.Select(e => (e.Id, e.Type)), seen);

        using var over = new HttpRequestMessage(HttpMethod.Get, $"/training-jobs/{job}/events");
        over.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        over.Headers.Add("Last-Event-ID", $"{all[^1].Id}");
        using HttpResponseMessage nothing = await service.Client.SendAsync(over, Service.Cancellation);
        Assert.Equal(204, (int)nothing.StatusCode);

        // The other views of the same job.
        JsonNode metrics = (await Answer.Get(service.Client, $"/training-jobs/{job}/metrics")).Body;
        Assert.Equal(12, metrics["epochs"]!.AsArray().Count);
        Assert.True((double)metrics["epochs"]![11]!["loss"]! < (double)metrics["epochs"]![0]!["loss"]!);
        Assert.Contains("epoch 12", await service.Client.GetStringAsync($"/training-jobs/{job}/log?lines=5", Service.Cancellation), StringComparison.Ordinal);
        JsonArray checkpoints = (await Answer.Get(service.Client, $"/training-jobs/{job}/checkpoints")).Body["checkpoints"]!.AsArray();
        Assert.Equal(["best", "latest"], checkpoints.Select(c => (string)c!["kind"]!));
        Assert.Equal(24, (int)checkpoints[1]!["step"]!);

        // TensorBoard reads what the trainer left: the loss of every epoch, in order.
        (long Step, string Tag, float Value)[] charts = [.. TensorBoardFile.Read(Directory.GetFiles(service.JobFile(job, "tensorboard")).Single())];
        Assert.Equal(metrics["epochs"]!.AsArray().Select(e => ((long)e!["step"]!, (float)(double)e["loss"]!)), charts.Where(c => c.Tag == "loss/train").Select(c => (c.Step, c.Value)));
        Assert.Equal(12, charts.Count(c => c.Tag == "dev/cider"));
    }

    [Fact]
    public async Task Several_data_sets_are_learnt_together_and_the_model_is_judged_by_each_that_people_wrote()
    {
        await using var service = new TrainingService([], features, output);
        await service.Start();
        string[] sets = [await service.AddDataset(), await service.AddDataset(), await service.AddDataset()];
        JsonObject asked = SmallDataset.Job(12);
        asked["datasets"] = new JsonArray(
            new JsonObject { ["id"] = sets[0] },
            new JsonObject { ["id"] = sets[1], ["weight"] = 0.5 },
            new JsonObject { ["id"] = sets[2], ["trust"] = "model" });
        asked["activateIfBetter"] = true;
        string id = await TrainingService.StartJob(service.Client, asked);
        foreach (string used in sets)
        {
            using HttpResponseMessage kept = await service.Client.DeleteAsync($"/datasets/{used}", Service.Cancellation);
            (await Answer.Read(kept)).IsProblem(409, "dataset_in_use");
        }

        JsonNode job = await service.Until(id, "succeeded");

        JsonArray data = JsonNode.Parse(await File.ReadAllTextAsync(service.JobFile(id, "job.json"), Service.Cancellation))!["data"]!.AsArray();
        Assert.Equal([(sets[0], true), (sets[1], true), (sets[2], false)], data.Select(source => ((string)source!["name"]!, source["dev"] is not null)));
        List<TrainingEvent> events = await service.Events(id);
        Assert.Equal([(sets[0], 1, "human", 8, 4), (sets[1], 0.5, "human", 8, 4), (sets[2], 1, "model", 8, 0)],
            events.Single(e => e.Type == "started").Data.GetProperty("sources").EnumerateArray().Select(source => (source.GetProperty("name").GetString()!, source.GetProperty("weight").GetDouble(),
                source.GetProperty("trust").GetString()!, source.GetProperty("trainPhotos").GetInt32(), source.GetProperty("devPhotos").GetInt32())));
        TrainingEvent[] epochs = [.. events.Where(e => e.Type == "epoch")];
        Assert.Equal(12, epochs.Length);
        Assert.All(epochs, e => Assert.Equal(sets[..2], e.Data.GetProperty("sources").EnumerateArray().Select(source => source.GetProperty("name").GetString()!)));

        string between = @"(better|worse|no clear difference): CIDEr [^:]+ \(samples@1 against shipped@1, 4 photos\)[^:]*\.";
        Assert.Matches($@"^(Activated|Not activated): better on [012] of 2 data sets, worse on [012]\. {sets[0]}: {between} {sets[1]}: {between}$", (string?)job["decision"]);
        Assert.Equal(sets[0], (string?)Assert.Single((await Answer.Get(service.Client, "/models/samples")).Body["versions"]!.AsArray())!["dataset"]);
        Assert.Equal(id, (string?)Assert.Single((await Answer.Get(service.Client, $"/training-jobs?dataset={sets[2]}")).Body["jobs"]!.AsArray())!["id"]);
        using HttpResponseMessage deleted = await service.Client.DeleteAsync($"/datasets/{sets[2]}", Service.Cancellation);
        Assert.Equal(204, (int)deleted.StatusCode);
    }

    [Fact]
    public async Task Trainer_that_cannot_start_is_tried_three_times()
    {
        await using var service = new TrainingService([], features, output);
        await service.Start();
        string dataset = await service.AddDataset();
        string job = await service.StartJob(dataset, SmallDataset.Job(1000));
        JsonNode? ended = null;
        var killed = new HashSet<int>();
        while (ended is null)
        {
            foreach (int pid in service.Trainers().Where(killed.Add))
            {
                using (Process.Start("/bin/kill", ["-9", $"{pid}"])) { }        // before it gets anywhere
            }
            JsonNode now = await service.Job(job);
            ended = (string?)now["state"] == "failed" ? now : null;
            await Task.Delay(20, Service.Cancellation);
        }
        Assert.Equal(3, (int)ended["attempt"]!);
        Assert.Contains("3 attempts in a row ended without progress", (string?)ended["error"], StringComparison.Ordinal);
        Assert.Contains("137", (string?)ended["error"], StringComparison.Ordinal);
    }

    private static string Measured(string metrics, string name, string label) =>
        Regex.Match(metrics, $@"^{name}\{{[^}}]*{Regex.Escape(label)}[^}}]*\}} (\S+)", RegexOptions.Multiline).Groups[1].Value;

    // Field 19 of /proc/PID/stat; the name in field 2 may hold spaces.
    private static string Nice(int pid) => File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ')[16];
}
