namespace CaptionService.Api;

/// <summary>Where the service is in its life: loading, ready, draining; and the requests it still owes an answer.</summary>
public sealed class Readiness
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ProblemKind? _notReady = ProblemTable.ModelLoading;     // under _gate
    private int _accepted;                                          // under _gate

    /// <summary>Why requests for captions are refused now, or null when they are taken.</summary>
    public ProblemKind? NotReady
    {
        get { lock (_gate) { return _notReady; } }
    }

    /// <summary>The model is loaded and warm.</summary>
    internal void Ready()
    {
        lock (_gate)
        {
            // A shutdown that began while the model was loading stays a shutdown.
            _notReady = _notReady == ProblemTable.ModelLoading ? null : _notReady;
        }
    }

    /// <summary>Takes a request on. Dispose what it returns when it is answered.</summary>
    /// <exception cref="ProblemException">The service is not ready.</exception>
    internal IDisposable Accept()
    {
        lock (_gate)
        {
            ThrowIfNotReady();
            _accepted++;
            return new Accepted(this);
        }
    }

    /// <summary>Says why the service is not ready, where it is not.</summary>
    /// <exception cref="ProblemException">The service is not ready.</exception>
    internal void ThrowIfNotReady()
    {
        if (NotReady is { } kind)
            throw new ProblemException(kind, $"{kind.Title}.");
    }

    /// <summary>Takes no more requests and waits until those that were taken are answered.</summary>
    internal Task Drain(CancellationToken cancellation)
    {
        lock (_gate)
        {
            _notReady = ProblemTable.Draining;
            CompleteWhenDrained();
        }
        return _drained.Task.WaitAsync(cancellation);
    }

    private void CompleteWhenDrained()
    {
        if (_notReady == ProblemTable.Draining && _accepted == 0)
            _drained.TrySetResult();
    }

    private sealed class Accepted(Readiness readiness) : IDisposable
    {
        public void Dispose()
        {
            lock (readiness._gate)
            {
                readiness._accepted--;
                readiness.CompleteWhenDrained();
            }
        }
    }
}
