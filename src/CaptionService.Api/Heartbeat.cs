namespace CaptionService.Api;

/// <summary>
/// Whether the models come back. A thread that native code does not give back cannot be ended from outside; the process can, so
/// that an orchestrator that asks <c>/health/live</c> starts another.
/// </summary>
public sealed class Heartbeat(TimeProvider time)
{
    /// <summary>Nothing shorter is called stuck, however fast the batches before were.</summary>
    public static readonly TimeSpan Least = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private long? _since;                   // under _gate: when the batch that runs began, or the last inside it ended
    private TimeSpan _slowest;              // under _gate

    /// <summary>How long the batch has been running, where that is more than three times the slowest that came back; else null.</summary>
    public TimeSpan? Stuck
    {
        get
        {
            lock (_gate)
            {
                return _since is { } since && time.GetElapsedTime(since) is var running && running > Least && running > 3 * _slowest ? running : null;
            }
        }
    }

    /// <summary>Runs a batch; others may run inside it.</summary>
    internal T Watch<T>(Func<T> batch)
    {
        long began = time.GetTimestamp();
        bool inside;
        lock (_gate)
        {
            (inside, _since) = (_since is not null, began);
        }
        try
        {
            return batch();
        }
        finally
        {
            lock (_gate)
            {
                TimeSpan took = time.GetElapsedTime(began);
                _slowest = took > _slowest ? took : _slowest;
                _since = inside ? time.GetTimestamp() : null;
            }
        }
    }
}
