using Microsoft.Extensions.Options;

namespace CaptionService.Api.Trainer;

/// <summary>Takes a trainer process from its start to its end: started, followed, asked to stop, killed where it does not.</summary>
public sealed partial class TrainerRunner(IOptions<TrainerOptions> options, TimeProvider time, ILogger<TrainerRunner> logger)
{
    private const int KeptLines = 20;
    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(50);      // many changes, few looks

    /// <summary>Runs the trainer. When this returns, its process is gone.</summary>
    /// <param name="run">What it does.</param>
    /// <param name="stop">Has it save and stop.</param>
    /// <returns>How it ended, whether by itself or because it was stopped.</returns>
    public async Task<TrainerEnd> Run(TrainerRun run, CancellationToken stop)
    {
        using TrainerProcess trainer = TrainerProcess.Start([.. run.Arguments, "--attached"], run.Log, options.Value);
        Log.Started(logger, run.Log, trainer.Id);
        Task<int> ended = trainer.Ended();
        await Follow(run, trainer, ended, stop);
        int code = await ended;
        Log.Ended(logger, run.Log, code);
        return new TrainerEnd(code, await TrainerLog.LastLines(run.Log, KeptLines, CancellationToken.None));
    }

    private async Task Follow(TrainerRun run, TrainerProcess trainer, Task ended, CancellationToken stop)
    {
        Task stopped = Task.Delay(Timeout.InfiniteTimeSpan, time, stop);
        DateTimeOffset? askedAt = null;
        bool killed = false;
        while (true)
        {
            Task changed = run.Changes.Changed, look = Task.Delay(options.Value.Follow, time, CancellationToken.None);
            await Task.WhenAny([ended, changed, look, .. askedAt is null ? [stopped] : Array.Empty<Task>()]);
            if (ended.IsCompleted)
                return;
            TrainerWish wish = run.Look is { } looked ? await looked() : TrainerWish.GoOn;
            if (askedAt is null && (stop.IsCancellationRequested || wish == TrainerWish.Stop))
            {
                trainer.Stop();
                askedAt = time.GetUtcNow();
            }
            bool late = time.GetUtcNow() - askedAt >= run.Grace;
            if (!killed && (late || wish == TrainerWish.Abandon))
            {
                Log.Killed(logger, run.Log, late ? $"it did not stop within {run.Grace.TotalSeconds} s" : "nobody needs its result");
                trainer.Kill();
                killed = true;
            }
            if (changed.IsCompleted)
                await Task.WhenAny(ended, Task.Delay(BetweenLooks, time, CancellationToken.None));
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Trainer {Process} started; its log is {File}")]
        public static partial void Started(ILogger logger, string file, int process);

        [LoggerMessage(2, LogLevel.Information, "The trainer with the log {File} ended with {Code}")]
        public static partial void Ended(ILogger logger, string file, int code);

        [LoggerMessage(3, LogLevel.Warning, "The trainer with the log {File} is killed: {Why}")]
        public static partial void Killed(ILogger logger, string file, string why);
    }
}
