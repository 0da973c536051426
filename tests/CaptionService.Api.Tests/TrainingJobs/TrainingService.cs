using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using CaptionService.Api.Tests.TrainingJobs;
using CaptionService.Captioning.Jobs;

[assembly: AssemblyFixture(typeof(SharedFeatures))]

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>One feature cache for all tests: the small data set is encoded once. And one model, for services that have to have one.</summary>
public sealed class SharedFeatures : IDisposable
{
    /// <summary>The row of tests that start a server and trainers of their own.</summary>
    public const string Programs = "programs";

    public string Folder { get; } = Directory.CreateTempSubdirectory("captionservice-features-").FullName;

    public ShippedSmall Shipped { get; } = new();

    /// <summary>Has whoever opens features from now on wait: as if another process encoded the photos.</summary>
    public IDisposable[] Hold() => [.. Directory.GetFiles(Folder, "*.lock").Select(file => new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None))];

    public void Dispose()
    {
        Shipped.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>The service as people run it: a process of its own that can be killed, over a folder and a database that stay.</summary>
public sealed class TrainingService : IAsyncDisposable
{
    private readonly Dictionary<string, string> _settings;
    private readonly ITestOutputHelper _output;
    private readonly bool _beside;
    private readonly ConcurrentQueue<string> _said = [];
    private Process? _process;

    public string Storage { get; }

    public HttpClient Client { get; private set; } = null!;

    /// <param name="database">And other settings, such as other models in service than the small one.</param>
    /// <param name="features">All services' features.</param>
    /// <param name="output">What the service says.</param>
    /// <param name="storage">The folder of another service, which removes it; null: one of its own.</param>
    public TrainingService(Dictionary<string, string> database, SharedFeatures features, ITestOutputHelper output, string? storage = null)
    {
        _beside = storage is not null;
        Storage = storage ?? Directory.CreateTempSubdirectory("captionservice-").FullName;
        _settings = new Dictionary<string, string>
        {
            ["Storage:Folder"] = Storage, ["Captioning:DecoderProcesses"] = "0", ["urls"] = "http://127.0.0.1:0", ["Training:Follow"] = "00:00:00.100", ["Training:StopGrace"] = "00:00:30",
            ["Training:Niceness"] = "1", ["Training:CudaDevices"] = "0", ["Training:CudaMemoryFraction"] = "0.5",
            [ShippedSmall.Setting] = features.Shipped.Folder,
        };
        foreach ((string name, string value) in database)
        {
            _settings[name] = value;
        }
        _output = output;
        if (!_beside)
        {
            Directory.CreateSymbolicLink(Path.Combine(Storage, "features"), features.Folder);
        }
    }

    /// <summary>What its log says, but of requests.</summary>
    public IEnumerable<string> Said => _said;

    /// <summary>Starts it; its port is new each time.</summary>
    public async Task Start()
    {
        string host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        var start = new ProcessStartInfo(host, [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), .. _settings.Select(s => $"--{s.Key}={s.Value}")]) { RedirectStandardOutput = true };
        start.Environment["OMP_WAIT_POLICY"] = "passive";
        _process = Process.Start(start)!;
        var listening = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null)
            {
                listening.TrySetException(new InvalidOperationException("The service ended before it listened."));
            }
            else if (line.Data.Contains("Now listening on", StringComparison.Ordinal))
            {
                listening.TrySetResult((string)JsonNode.Parse(line.Data)!["address"]!);
            }
            else if (!line.Data.Contains("\"RequestMethod\"", StringComparison.Ordinal))
            {
                _output.WriteLine(line.Data);
                _said.Enqueue(line.Data);
            }
        };
        _process.BeginOutputReadLine();
        Client = new HttpClient { BaseAddress = new Uri(await listening.Task.WaitAsync(TimeSpan.FromMinutes(4), Service.Cancellation)), Timeout = TimeSpan.FromMinutes(4) };
    }

    public async Task Kill()
    {
        _process!.Kill();
        await _process.WaitForExitAsync(Service.Cancellation);
    }

    public async Task Terminate()
    {
        using (Process.Start("/bin/sh", ["-c", $"kill -TERM {_process!.Id}"])) { }
        await _process!.WaitForExitAsync(Service.Cancellation);
        Assert.Equal(0, _process.ExitCode);
    }

    /// <summary>The database, past the service.</summary>
    public CaptionDb Database() => Databases.Open(_settings, Storage);

    /// <summary>A data set made from the samples, as if it had been uploaded and found fit.</summary>
    /// <param name="status">Its status.</param>
    /// <param name="byHeart">The photos to choose by are those to learn from, under other names.</param>
    public async Task<string> AddDataset(string status = "ready", bool byHeart = false)
    {
        string id = Ids.New(), folder = Path.Combine(Storage, "datasets", id);
        SmallDataset.Write(folder);
        if (byHeart)
        {
            string[] known = await File.ReadAllLinesAsync(Path.Combine(folder, "train.txt"), Service.Cancellation), captions = await File.ReadAllLinesAsync(Path.Combine(folder, "captions.token.txt"), Service.Cancellation);
            foreach (string name in known)
            {
                File.Copy(Path.Combine(folder, "photos", name), Path.Combine(folder, "photos", "again-" + name));
            }
            await File.AppendAllLinesAsync(Path.Combine(folder, "captions.token.txt"), captions.Where(line => known.Contains(line.Split('#')[0])).Select(line => "again-" + line), Service.Cancellation);
            await File.WriteAllLinesAsync(Path.Combine(folder, "dev.txt"), known.Select(name => "again-" + name), Service.Cancellation);
        }
        await using CaptionDb db = Database();
        db.Datasets.Add(SmallDataset.Row(id, status));
        await db.SaveChangesAsync(Service.Cancellation);
        return id;
    }

    public Task<string> StartJob(string dataset, JsonObject? more = null) => StartJob(Client, dataset, more);

    public static Task<string> StartJob(HttpClient client, string dataset, JsonObject? more = null)
    {
        JsonObject body = more ?? SmallDataset.Job();
        body["dataset"] = dataset;
        return StartJob(client, body);
    }

    public static async Task<string> StartJob(HttpClient client, JsonObject body)
    {
        using HttpResponseMessage response = await client.PostAsJsonAsync("/training-jobs", body, Service.Cancellation);
        Answer answer = await Answer.Read(response);
        Assert.True(answer.Status == 202, answer.Body.ToJsonString());
        string id = (string)answer.Body["id"]!;
        Assert.Equal($"/training-jobs/{id}", response.Headers.Location?.ToString());
        return id;
    }

    public async Task<JsonNode> Job(string id) => (await Answer.Get(Client, $"/training-jobs/{id}")).Body;

    public async Task<JsonNode> Until(string id, params string[] states)
    {
        while (true)
        {
            JsonNode job = await Job(id);
            string state = (string)job["state"]!;
            if (states.Contains(state))
            {
                return job;
            }
            if (state is "failed" or "cancelled" or "succeeded")      // nothing more will come
            {
                Assert.Fail(job.ToJsonString() + await Client.GetStringAsync($"/training-jobs/{id}/log", Service.Cancellation));
            }
            await Task.Delay(100, Service.Cancellation);
        }
    }

    /// <summary>Waits until an attempt, or a later one, runs and has ended an epoch more than before.</summary>
    public async Task Further(string id, int attempt)
    {
        while ((int)(await Until(id, "running"))["attempt"]! < attempt)
        {
            await Task.Delay(50, Service.Cancellation);
        }
        int before = await Epochs(), now = before;
        while (now <= before)
        {
            await Until(id, "running");
            await Task.Delay(50, Service.Cancellation);
            now = await Epochs();
        }

        async Task<int> Epochs() => (await Answer.Get(Client, $"/training-jobs/{id}/metrics")).Body["epochs"]!.AsArray().Count;
    }

    public async Task<List<TrainingEvent>> Events(string id)
    {
        var all = new List<TrainingEvent>();
        for (long? after = 0; after is not null;)
        {
            JsonNode page = (await Answer.Get(Client, $"/training-jobs/{id}/events?after={after}&limit=50")).Body;
            all.AddRange(page["events"]!.AsArray().Select(e => e.Deserialize<TrainingEvent>(TrainingEvent.Json)!));
            after = (long?)page["next"];
        }
        return all;
    }

    /// <summary>Process ids of the trainers of this folder.</summary>
    public int[] Trainers() =>
    [
        .. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!, null)).Where(pid =>
        {
            try
            {
                string command = File.ReadAllText($"/proc/{pid}/cmdline");
                return command.Contains("CaptionService.Trainer.dll", StringComparison.Ordinal) && command.Contains(Storage, StringComparison.Ordinal);
            }
            catch (IOException)
            {
                return false;
            }
        }),
    ];

    public async Task UntilNoTrainer()
    {
        while (Trainers().Length > 0)
        {
            await Task.Delay(50, Service.Cancellation);
        }
    }

    public string JobFile(string id, string name) => Path.Combine(Storage, "jobs", id, name);

    public async ValueTask DisposeAsync()
    {
        if (_process is { HasExited: false })
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }
        _process?.Dispose();
        foreach (int trainer in Trainers())
        {
            using Process process = Process.GetProcessById(trainer);
            process.Kill();
            await process.WaitForExitAsync();
        }
        Client?.Dispose();
        if (_beside)
        {
            return;
        }
        File.Delete(Path.Combine(Storage, "features"));     // the link, not what is behind it
        try
        {
            Secrets.AssertNone(Storage, Said);
        }
        finally
        {
            Directory.Delete(Storage, recursive: true);
        }
    }
}

/// <summary>Twelve photos from six samples, each whole and cut, with captions.</summary>
internal static class SmallDataset
{
    private static readonly Dictionary<string, string[]> s_captions = new()
    {
        ["astronaut"] = ["A woman in an orange space suit smiles.", "An astronaut poses in front of a flag."],
        ["cat"] = ["A striped cat looks at the camera.", "The face of a cat with green eyes."],
        ["coffee"] = ["A cup of coffee on a wooden table.", "Hot coffee in a red cup with a spoon."],
        ["flower"] = ["A bright flower grows between leaves.", "One blossom is open."],
        ["rocket"] = ["A rocket lifts off from its tower.", "Fire and smoke under a rising rocket."],
        ["temple"] = ["A temple under a blue sky.", "The curved roof of an old temple."],
    };

    public static void Write(string folder)
    {
        Directory.CreateDirectory(Path.Combine(folder, "photos"));
        foreach (string name in s_captions.Keys)
        {
            using NetVips.Image photo = NetVips.Image.NewFromBuffer(Photos.Sample(name));
            using NetVips.Image small = photo.ThumbnailImage(256);
            using NetVips.Image cut = small.Crop(small.Width / 8, small.Height / 8, small.Width * 3 / 4, small.Height * 3 / 4);
            File.WriteAllBytes(Path.Combine(folder, "photos", $"{name}.jpg"), small.JpegsaveBuffer());
            File.WriteAllBytes(Path.Combine(folder, "photos", $"{name}-cut.jpg"), cut.JpegsaveBuffer());
        }
        File.WriteAllLines(Path.Combine(folder, "captions.token.txt"), s_captions.SelectMany(p => p.Value.SelectMany((c, i) => new[] { $"{p.Key}.jpg#{i}\t{c}", $"{p.Key}-cut.jpg#{i}\t{c}" })));
        File.WriteAllLines(Path.Combine(folder, "train.txt"), s_captions.Keys.SelectMany(n => new[] { $"{n}.jpg", $"{n}-cut.jpg" }).SkipLast(4));
        File.WriteAllLines(Path.Combine(folder, "dev.txt"), s_captions.Keys.SelectMany(n => new[] { $"{n}.jpg", $"{n}-cut.jpg" }).TakeLast(4));
    }

    public static Dataset Row(string id, string status) => new()
    {
        Id = id,
        Name = "Samples",
        Language = "en",
        Status = Enum.Parse<DatasetStatus>(status, ignoreCase: true),
        Problem = status == "refused" ? "no photo can be read" : null,
        CreatedAt = TimeProvider.System.GetUtcNow(),
        Photos = 12,
        Captions = 24,
        TrainPhotos = 8,
        DevPhotos = 4,
    };

    /// <summary>A network that trains an epoch in a fraction of a second.</summary>
    public static JsonObject Job(int epochs = 4) => new()
    {
        ["preset"] = "best",
        ["seed"] = 7,
        ["budget"] = new JsonObject { ["epochs"] = epochs },
        ["options"] = new JsonObject
        {
            ["hidden"] = 32, ["heads"] = 4, ["embedding"] = 16, ["batchPhotos"] = 4, ["minWordCount"] = 1, ["warmupSteps"] = 2, ["learningRate"] = 0.005, ["patience"] = 1000, ["precision"] = "float32", ["mirror"] = false, ["selfCriticalEpochs"] = 0,
        },
    };
}
