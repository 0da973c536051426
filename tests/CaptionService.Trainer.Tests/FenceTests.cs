using CaptionService.Captioning.Training;
using Xunit;

namespace CaptionService.Trainer.Tests;

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
    public async Task A_later_attempt_waits_until_the_one_before_has_left()
    {
        using var job = new JobFolder(features.Folder);
        var first = Fence.Enter(job.Folder, 1, CancellationToken.None);
        var second = Task.Run(() => Fence.Enter(job.Folder, 2, CancellationToken.None), TestContext.Current.CancellationToken);
        using (var impatient = new CancellationTokenSource(150))
            Assert.Throws<OperationCanceledException>(() => Fence.Enter(job.Folder, 2, impatient.Token));
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second).Dispose();
    }
}
