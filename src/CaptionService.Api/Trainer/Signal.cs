namespace CaptionService.Api.Trainer;

/// <summary>Says that something has changed, so that nobody in this process need wait for the next look.</summary>
public class Signal
{
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes at the next change. Take it before looking, so that nothing is missed between.</summary>
    public Task Changed => Volatile.Read(ref _changed).Task;

    /// <summary>Something has changed.</summary>
    public void Raise() => Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
}
