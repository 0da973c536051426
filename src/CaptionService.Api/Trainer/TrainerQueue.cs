using CaptionService.Api.Storage;

namespace CaptionService.Api.Trainer;

/// <summary>
/// The one queue of work in the background. Each kind of work has places of its own, so that an evaluation does not wait for hours
/// of training. Whatever happens with one run, the next has its turn; this server may die at any line.
/// </summary>
internal sealed partial class TrainerQueue(IEnumerable<ITrainerWork> kinds, DataFolder folder, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<TrainerQueue> logger) : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);            // for what other servers were asked
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(5);

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // From the first sign of a shutdown: trainers save while the last captions are answered.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping);
        try
        {
            await folder.Hold(time, stop.Token);
            await Task.WhenAll(kinds.Select(kind => WorkOff(kind, stop.Token)));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
    }

    private async Task WorkOff(ITrainerWork kind, CancellationToken stopping)
    {
        var running = new Dictionary<string, Task>();
        bool recovered = false;
        try
        {
            while (true)
            {
                Task added = kind.Added.Changed;
                foreach (string ended in running.Where(run => run.Value.IsCompleted).Select(run => run.Key).ToArray())
                    running.Remove(ended);
                try
                {
                    if (!recovered)
                    {
                        await kind.Recover(stopping);
                        recovered = true;
                    }
                    while (running.Count < kind.AtOnce && await kind.Next(running.Keys, stopping) is { } next)
                        running[next.Id] = Run(next, stopping);
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    Log.CannotLook(logger, kind.GetType().Name, failure);
                    await Task.Delay(AfterFailure, time, stopping);
                }
                await Task.WhenAny([added, Task.Delay(Look, time, stopping), .. running.Values]);
                stopping.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            await Task.WhenAll(running.Values);
        }
    }

    private async Task Run(QueuedRun next, CancellationToken stopping)
    {
        try
        {
            await next.Run(stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The next start does it again.
        }
        catch (Exception failure)
        {
            Log.Failed(logger, next.Id, failure);
            await Task.WhenAny(Task.Delay(AfterFailure, time, stopping));
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "What waits for {Kind} cannot be read")]
        public static partial void CannotLook(ILogger logger, string kind, Exception failure);

        [LoggerMessage(2, LogLevel.Error, "{Id} could not be run")]
        public static partial void Failed(ILogger logger, string id, Exception failure);
    }
}
