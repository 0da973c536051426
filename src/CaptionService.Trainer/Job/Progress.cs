using System.Diagnostics;

namespace CaptionService.Trainer.Job;

/// <summary>What a long stage has done, how fast, and how long it will take: a bar on a terminal, figures for the events.</summary>
public sealed class Progress(TextWriter terminal, bool interactive)
{
    private long _started, _drawn, _reported;
    private long _first;

    /// <summary>Stage under way.</summary>
    public string Stage { get; private set; } = "";

    /// <summary>Called every five seconds of a stage, and at its end.</summary>
    public Action? Report { get; set; }

    /// <summary>Units done.</summary>
    public long Done { get; private set; }

    /// <summary>Units in all.</summary>
    public long Total { get; private set; }

    /// <summary>Units a second since the stage began.</summary>
    public double Rate => (Done - _first) / Math.Max(Stopwatch.GetElapsedTime(_started).TotalSeconds, 1e-3);

    /// <summary>Time left at that rate.</summary>
    public TimeSpan Left => Done == _first ? TimeSpan.Zero : TimeSpan.FromSeconds((Total - Done) / Rate);

    /// <summary>Begins a stage.</summary>
    /// <param name="stage">Its name.</param>
    /// <param name="total">Units in all.</param>
    /// <param name="done">Units done in an earlier run.</param>
    public void Begin(string stage, long total, long done = 0)
    {
        (Stage, Total, Done, _first) = (stage, total, done, done);
        _started = Stopwatch.GetTimestamp();
        _drawn = 0;
        _reported = _started;
    }

    /// <summary>Some units are done; draws at most five times a second on a terminal, once in 30 seconds elsewhere.</summary>
    public void Advance(long units, string note = "")
    {
        Done += units;
        if (Report is not null && (Done >= Total || Stopwatch.GetElapsedTime(_reported).TotalSeconds >= 5))
        {
            _reported = Stopwatch.GetTimestamp();
            Report();
        }
        if (_drawn != 0 && Done < Total && Stopwatch.GetElapsedTime(_drawn).TotalSeconds < (interactive ? 0.2 : 30))
            return;
        _drawn = Stopwatch.GetTimestamp();
        int filled = (int)(24 * Done / Math.Max(Total, 1));
        string line = $"{Stage} [{new string('=', filled)}{new string(' ', 24 - filled)}] {Done}/{Total}  {Rate:F1}/s  {Format(Left)} left  {note}";
        terminal.Write(interactive ? $"\r{line}  {(Done >= Total ? "\n" : "")}" : line + "\n");
        terminal.Flush();
    }

    /// <summary>A line of its own.</summary>
    public void Say(string line) => terminal.WriteLine(line);

    private static string Format(TimeSpan t) => t.TotalHours >= 1 ? $"{(int)t.TotalHours}h{t.Minutes:D2}m" : $"{t.Minutes}m{t.Seconds:D2}s";
}
