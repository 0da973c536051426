using System.Text.Json;
using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using Xunit;

namespace CaptionService.Trainer.Tests.Job;

public sealed class EventWriterTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Numbers_run_on_without_a_gap_when_the_file_is_opened_again()
    {
        Write(e => e.Write("started", new { step = 0, words = "é 猫\n\"x\"" }), e => e.Write("epoch", new { step = 2 }));
        Write();
        Write(e => e.Write("stopped", new { reason = "asked" }));
        var events = Read();
        Assert.Equal([1L, 2, 3], events.Select(e => e.Id));
        Assert.Equal(["started", "epoch", "stopped"], events.Select(e => e.Type));
        Assert.Equal("é 猫\n\"x\"", events[0].Data.GetProperty("words").GetString());
        Assert.All(events, e => Assert.Equal(TimeSpan.Zero, e.Time.Offset));
        Assert.EndsWith("}\n", File.ReadAllText(_path));
    }

    // Cut at every byte, also inside a character of several bytes: what is whole stays, the rest is written anew.
    [Fact]
    public void A_last_line_that_a_crash_cut_is_written_again_under_its_number()
    {
        Write(e => e.Write("started", new { step = 0, name = "ä猫😀" }), e => e.WriteOnce("epoch", 1, new { step = 1, name = "ä猫😀" }));
        byte[] whole = File.ReadAllBytes(_path);
        int first = Array.IndexOf(whole, (byte)'\n') + 1;
        for (int length = first; length < whole.Length; length++)
        {
            File.WriteAllBytes(_path, whole[..length]);
            Write(e => e.WriteOnce("epoch", 1, new { step = 1, again = true }));
            Assert.Equal(whole[..first], File.ReadAllBytes(_path)[..first]);
            var events = Read();
            Assert.Equal([1L, 2], events.Select(e => e.Id));
            Assert.True(events[1].Data.GetProperty("again").GetBoolean());
        }
        File.WriteAllBytes(_path, whole[..(first - 1)]);
        Write(e => e.Write("started", new { step = 0 }));
        Assert.Equal([1L], Read().Select(e => e.Id));
    }

    [Fact]
    public void A_step_that_is_made_again_is_not_reported_again()
    {
        Write(e => e.WriteOnce("epoch", 4, new { step = 4 }), e => e.WriteOnce("epoch", 4, new { step = 4 }), e => e.WriteOnce("epoch", 2, new { step = 2 }));
        Write(e => e.WriteOnce("epoch", 4, new { step = 4 }), e => e.WriteOnce("checkpoint", 4, new { step = 4 }), e => e.WriteOnce("epoch", 6, new { step = 6 }));
        Assert.Equal([(1L, "epoch", 4), (2, "checkpoint", 4), (3, "epoch", 6)], Read().Select(e => (e.Id, e.Type, e.Data.GetProperty("step").GetInt32())));
    }

    [Fact]
    public void A_reader_may_follow_the_file_while_it_is_written()
    {
        using var writer = new EventWriter(_path, TimeProvider.System);
        writer.Write("started", new { step = 0 });
        using var follow = new StreamReader(new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        Assert.Contains("started", follow.ReadLine());
        Assert.Null(follow.ReadLine());
        writer.Write("epoch", new { step = 1 });
        Assert.Contains("epoch", follow.ReadLine());
    }

    private void Write(params Action<EventWriter>[] writes)
    {
        using var writer = new EventWriter(_path, TimeProvider.System);
        foreach (var write in writes)
            write(writer);
    }

    private TrainingEvent[] Read() => [.. File.ReadLines(_path).Select(l => JsonSerializer.Deserialize<TrainingEvent>(l, TrainingEvent.Json)!)];
}
