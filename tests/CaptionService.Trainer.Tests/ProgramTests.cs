using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Jobs;
using Xunit;

namespace CaptionService.Trainer.Tests;

/// <summary>The program as it is started: its exit codes, and its end by kill, SIGTERM and a closed standard input.</summary>
public sealed class ProgramTests(SharedFeatures features, ITestOutputHelper output)
{
    [Fact]
    public async Task A_run_that_is_killed_terminated_and_orphaned_ends_as_an_unbroken_one()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There is no SIGTERM.");
        var options = JobFolder.Small with { Epochs = 16 };
        using var unbroken = new JobFolder(features.Folder, options);
        using var broken = new JobFolder(features.Folder, options);
        using var whole = new Child(output, "train", unbroken.Folder);      // beside the others

        using (var killed = new Child(output, "train", broken.Folder))
        {
            await killed.Says("epoch 3/16 ");
            killed.Process.Kill();
            Assert.InRange(await killed.End(), 128, 255);
        }
        Assert.False(File.Exists(broken.File("result.json")));

        using (var terminated = new Child(output, "train", broken.Folder))
        {
            await terminated.Says("resumed at step ");
            await terminated.Says("epoch 6/16 ");
            using var kill = Process.Start("/bin/sh", ["-c", $"kill -TERM {terminated.Process.Id}"]);
            Assert.Equal(TrainerExit.Stopped, await terminated.End());
        }
        Assert.Equal("stopped", broken.Events()[^1].Type);

        using (var orphaned = new Child(output, "train", broken.Folder, "--attached"))
        {
            await orphaned.Says("epoch 9/16 ");
            orphaned.Process.StandardInput.Close();
            Assert.Equal(TrainerExit.Stopped, await orphaned.End());
        }
        Assert.False(File.Exists(broken.File("result.json")));

        using (var last = new Child(output, "train", broken.Folder, "--attached"))
            Assert.Equal(TrainerExit.Succeeded, await last.End());

        Assert.Equal(TrainerExit.Succeeded, await whole.End());
        foreach (string file in new[] { "checkpoint.safetensors", "model/decoder.safetensors", "model/model.json" })
            Assert.True(File.ReadAllBytes(unbroken.File(file)).AsSpan().SequenceEqual(File.ReadAllBytes(broken.File(file))), $"{file} differs");
        var events = broken.Events();
        Assert.Equal(Enumerable.Range(1, events.Length).Select(i => (long)i), events.Select(e => e.Id));
        Assert.Equal(Enumerable.Range(1, 16), events.Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("epoch").GetInt32()));
        Assert.Equal("succeeded", events[^1].Type);
        var result = JsonNode.Parse(File.ReadAllText(broken.File("result.json")))!;
        Assert.Equal(("succeeded", 1), ((string?)result["status"], (int?)result["attempt"]));
        Assert.Equal(events[^1].Data.GetProperty("digest").GetString(), (string?)result["digest"]);

        using (var evaluated = new Child(output, "evaluate", broken.File("model"), broken.File("job.json"), "--split", "train", "--beam", "2", "--length-normalization", "0.5"))
        {
            Assert.Equal(TrainerExit.Succeeded, await evaluated.End());
            Assert.Contains("CIDEr", evaluated.Output);
            Assert.DoesNotContain("captions a photo", evaluated.Output);
        }
        using (var varied = new Child(output, "evaluate", broken.File("model"), broken.File("job.json"), "--split", "train", "--beam", "2", "--count", "3", "--diversity", "0.5"))
        {
            Assert.Equal(TrainerExit.Succeeded, await varied.End());
            Assert.Contains("of 3.0 captions a photo", varied.Output);
        }
    }

    [Theory]
    [InlineData("name", "\"No Name\"", "'No Name'")]
    [InlineData("language", "\"\"", "language")]
    [InlineData("language", "\"en us\"", "en us")]
    [InlineData("version", "0", "version")]
    [InlineData("data", "null", "data")]
    [InlineData("colour", "1", "colour")]
    [InlineData("options", """{"learningRat": 0.1}""", "learningRat")]
    [InlineData("options", """{"learningRate": 7}""", "learningRate is 7")]
    [InlineData("options", """{"hidden": 100, "heads": 8}""", "heads")]
    [InlineData("companions", """[{"name": "samples-de", "language": "de"}]""", "captions")]
    [InlineData("companions", """[{"name": "a/b", "language": "de", "captions": "captions.de.txt"}]""", "a/b")]
    [InlineData("companions", """[{"name": "samples-en", "language": "en-GB", "captions": "captions.de.txt"}]""", "en-GB")]
    [InlineData("companions", """[{"name": "x", "language": "../x", "captions": "captions.de.txt"}]""", "../x")]
    [InlineData("companions", """[{"name": "x", "language": "de", "captions": "a"}, {"name": "y", "language": "de", "captions": "b"}]""", "de")]
    [InlineData("teachers", """{"models": ["../model"], "share": 2}""", "share is 2")]
    [InlineData("teachers", """{"models": []}""", "no models")]
    [InlineData("data", """[{"photos": "p", "captions": "c", "train": "t", "dev": "d"}, {"photos": "p", "captions": "c", "train": "t", "weight": 0}]""", "weight of a source is 0; it must be 0.01 to 100")]
    [InlineData("data", """{"photos": "p", "captions": "c", "train": "t", "dev": "d", "trust": "none"}""", "trust of a source is 'none'; it must be human or model")]
    [InlineData("data", """[]""", "data names no source")]
    [InlineData("data", """{"photos": "p", "captions": "c", "train": "t"}""", "dev is missing")]
    [InlineData("data", """{"photos": "p", "captions": "c", "train": "t", "dev": null}""", "dev is missing")]
    [InlineData("data", """[{"photos": "p", "captions": "c", "train": "t"}, {"photos": "p", "captions": "c", "train": "t", "dev": "d", "trust": "model"}]""", "dev is missing")]
    [InlineData("", "null", "null")]
    [InlineData("", "{", "$")]
    [InlineData("", "", "token")]
    public void A_job_that_is_wrong_is_told_before_anything_is_done(string member, string json, string told)
    {
        using var job = new JobFolder(features.Folder);
        var edited = JsonNode.Parse(File.ReadAllText(job.File("job.json")))!;
        if (member.Length > 0)
            edited[member] = JsonNode.Parse(json);
        File.WriteAllText(job.File("job.json"), member.Length > 0 ? edited.ToJsonString() : json);
        var (code, error) = Run("train", job.Folder);
        Assert.Equal(TrainerExit.BadJob, code);
        Assert.Contains(told, error);
        Assert.False(File.Exists(job.File("events.jsonl")));
    }

    [Theory]
    [InlineData("baseModel", "model")]
    [InlineData("architecture", "show-and-tell")]
    public void Companions_need_a_network_of_their_own_that_can_be_shared(string what, string value)
    {
        using var job = new JobFolder(features.Folder);
        var with = job.Job with { OtherLanguages = [new JobLanguage("samples-de", "de", "captions.de.txt")] };
        job.WriteJob(what == "baseModel" ? with with { BaseModel = value } : with with { Options = with.Options with { Architecture = value } });
        var (code, error) = Run("train", job.Folder);
        Assert.Equal(TrainerExit.BadJob, code);
        Assert.Contains(what, error, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_wrong_command_line_is_a_bad_job_with_a_message()
    {
        using var job = new JobFolder(features.Folder);
        string file = job.File("job.json");
        foreach (var (arguments, told) in new (string[], string)[]
        {
            ([], "evaluate <MODEL>"), (["train"], "train <FOLDER>"), (["train", job.File("absent")], "job.json"), (["train", job.Folder, "--detached"], "train <FOLDER>"),
            (["evaluate", "model", job.File("absent.json")], "absent.json"), (["evaluate", "model", file, "--beam", "many"], "--beam is many"),
            (["evaluate", "model", file, "--beam", "0"], "1 to 16"), (["evaluate", "model", file, "--length-normalization", "-1"], "0 to 2"),
            (["evaluate", "model", file, "--no-repeat"], "needs a value"), (["evaluate", "model", file, "--speed", "2"], "--speed"),
            (["evaluate", "model", file, "--diversity", "9"], "0 to 5"), (["evaluate", "model", file, "--count", "17"], "1 to 16"),
        })
        {
            var (code, error) = Run(arguments);
            Assert.Equal(TrainerExit.BadJob, code);
            Assert.Contains(told, error);
        }
    }

    [Fact]
    public void Data_that_is_wrong_ends_the_job_with_a_result_and_the_first_result_stays()
    {
        using var job = new JobFolder(features.Folder);
        File.AppendAllText(job.File("dev.txt"), "cat.jpg\n");
        var (code, error) = Run("train", job.Folder);
        Assert.Equal(TrainerExit.BadData, code);
        Assert.Contains("cat.jpg", error);
        string result = File.ReadAllText(job.File("result.json"));
        Assert.Contains("cat.jpg", result);
        var failed = job.Events().Single(e => e.Type == "failed");
        Assert.Equal("bad_data", failed.Data.GetProperty("code").GetString());

        File.WriteAllText(job.File("dev.txt"), "absent.jpg\n");
        Assert.Equal(TrainerExit.BadData, Run("train", job.Folder).Code);
        Assert.Equal(result, File.ReadAllText(job.File("result.json")));
        Assert.Empty(Directory.GetFiles(job.Folder, "*.tmp"));
        Assert.Equal(TrainerExit.BadData, Run("evaluate", job.File("no model"), job.File("job.json")).Code);
    }

    [Fact]
    public void A_broken_photo_is_bad_data()
    {
        using var job = new JobFolder("features");
        File.WriteAllText(job.File("broken.jpg"), "no photo");
        job.WriteData([("broken.jpg", "A photo."), ("cat.jpg", "A cat.")], ["broken.jpg"], ["cat.jpg"]);
        File.Copy(Path.Combine(JobFolder.Samples, "cat.jpg"), job.File("cat.jpg"));
        job.WriteJob(job.Job with { Data = [job.Job.Data[0] with { Photos = "." }] });
        var (code, error) = Run("train", job.Folder);
        Assert.Equal(TrainerExit.BadData, code);
        Assert.Contains("broken.jpg", error);
    }

    private static (int Code, string Error) Run(params string[] arguments)
    {
        var before = Console.Error;
        using var error = new StringWriter();
        Console.SetError(error);
        try
        {
            return (Program.Main(arguments), error.ToString());
        }
        finally
        {
            Console.SetError(before);
        }
    }

    /// <summary>The built program in a process of its own.</summary>
    private sealed class Child : IDisposable
    {
        private readonly ITestOutputHelper _log;
        private readonly Task<string> _output;

        public Process Process { get; }

        public string Output => _output.Result;

        public Child(ITestOutputHelper log, params string[] arguments)
        {
            _log = log;
            string host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
            Process = Process.Start(new ProcessStartInfo(host, [Path.Combine(AppContext.BaseDirectory, "CaptionService.Trainer.dll"), .. arguments])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                StandardErrorEncoding = Encoding.UTF8,
                // One thread: products this small only wait for a second.
                Environment = { ["DOTNET_PROCESSOR_COUNT"] = "1" },
            })!;
            _output = Process.StandardOutput.ReadToEndAsync();
        }

        /// <summary>Waits for a line that begins so.</summary>
        public async Task Says(string beginning)
        {
            while (true)
            {
                string? line = await Process.StandardError.ReadLineAsync(TestContext.Current.CancellationToken);
                Assert.True(line is not null, $"ended without \"{beginning}\"");
                _log.WriteLine(line);
                if (line.StartsWith(beginning, StringComparison.Ordinal))
                    return;
            }
        }

        /// <returns>The exit code; 128 and the signal's number when a signal ended it.</returns>
        public async Task<int> End()
        {
            string rest = await Process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            _log.WriteLine(rest.Length > 2000 ? rest[^2000..] : rest);
            await Process.WaitForExitAsync(TestContext.Current.CancellationToken);
            return Process.ExitCode;
        }

        public void Dispose()
        {
            if (!Process.HasExited)
                Process.Kill();
            Process.Dispose();
        }
    }
}
