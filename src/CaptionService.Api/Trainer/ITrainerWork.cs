namespace CaptionService.Api.Trainer;

/// <summary>One kind of work in the background, most of it by trainer processes: what waits, and what a run of it means. The queue takes it from here.</summary>
public interface ITrainerWork
{
    /// <summary>Most of them at the same time.</summary>
    int AtOnce { get; }

    /// <summary>Raised when something may wait.</summary>
    Signal Added { get; }

    /// <summary>Takes up what a server that died was doing. Called once, before anything else and when no other server works in the data folder.</summary>
    Task Recover(CancellationToken stopping);

    /// <summary>Takes the next that waits.</summary>
    /// <param name="running">Ids of those that run.</param>
    /// <param name="stopping">The server stops.</param>
    /// <returns>null: none waits.</returns>
    Task<QueuedRun?> Next(IReadOnlyCollection<string> running, CancellationToken stopping);
}

/// <summary>Something that waited for its turn and has it now.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Run">Does it.</param>
public sealed record QueuedRun(string Id, Func<CancellationToken, Task> Run);
