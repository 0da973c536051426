using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using Xunit;

namespace CaptionService.Trainer.Tests.Job;

/// <summary>What an attempt that was given up can still do: nothing.</summary>
public sealed class FenceTests(SharedFeatures features)
{
    [Fact]
    public void An_older_attempt_writes_no_event_and_no_result()
    {
        using var job = new JobFolder(features.Folder);
        using (var fence = Fence.Enter(job.Folder, 1, CancellationToken.None))
        using (var events = new EventWriter(job.File("events.jsonl"), TimeProvider.System, fence))
        {
            events.Write("started", new { });
            File.WriteAllText(job.File("attempt"), "2");        // the server began another
            Assert.Throws<SupersededException>(() => events.Write("progress", new { }));
            Assert.Throws<SupersededException>(() => fence.Check());
        }
        Assert.Single(job.Events());
        Assert.Throws<SupersededException>(() => Fence.Enter(job.Folder, 1, CancellationToken.None).Dispose());

        Assert.Equal(TrainerExit.Superseded, Program.Main(["train", job.Folder]));
        Assert.Single(job.Events());
        Assert.False(File.Exists(job.File("result.json")));
        File.Delete(job.File("attempt"));
        Fence.Enter(job.Folder, 1, CancellationToken.None).Dispose();
    }

    [Fact]
    public void What_a_killed_attempt_left_half_written_goes_and_nothing_else()
    {
        using var job = new JobFolder(features.Folder);
        string[] before = Directory.GetFileSystemEntries(job.Folder);
        // The last two are the server's, who may write them for the next attempt.
        string[] files = ["checkpoint.safetensors.tmp", "best-3.safetensors.tmp", "result.json.0123.tmp", "best-2.safetensors", "job.json.tmp", "attempt.tmp"];
        foreach (string file in files)
            File.WriteAllText(job.File(file), "half");
        foreach (string folder in new[] { "model.0123.tmp", "model.4567.old", "model" })
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(job.File(folder)).FullName, "model.json"), "{}");

        using (var fence = Fence.Enter(job.Folder, 1, CancellationToken.None))
            fence.Clean();

        Assert.Equal(before.Concat(new[] { "best-2.safetensors", "job.json.tmp", "attempt.tmp", "model", "lock" }.Select(job.File)).Order(), Directory.GetFileSystemEntries(job.Folder).Order());
    }

    [Fact]
    public async Task A_later_attempt_waits_until_the_one_before_has_left()
    {
        using var job = new JobFolder(features.Folder);
        var first = Fence.Enter(job.Folder, 1, CancellationToken.None);
        // It blocks, so on a thread of its own: the pool may have a single one.
        var second = Task.Factory.StartNew(() => Fence.Enter(job.Folder, 2, CancellationToken.None), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.Throws<OperationCanceledException>(() => Fence.Enter(job.Folder, 2, new CancellationToken(canceled: true)));
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second).Dispose();
    }
}
