using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Trainer;

/// <summary>One run of the trainer, as a feature asks for it.</summary>
/// <param name="Arguments">The verb and what follows it.</param>
/// <param name="Log">File to which the output is appended.</param>
/// <param name="Grace">How long the trainer may take to save and stop once it is asked to; then it is killed. Zero: killed at once.</param>
public sealed record TrainerRun(IReadOnlyList<string> Arguments, string Log, TimeSpan Grace)
{
    /// <summary>Looks at what the trainer does, every <see cref="TrainerOptions.Follow"/> and at each change; null: nobody looks.</summary>
    public Func<Task<TrainerWish>>? Look { get; init; }

    /// <summary>Has <see cref="Look"/> called early.</summary>
    public Signal Changes { get; init; } = new();
}

/// <summary>What becomes of a run that somebody looked at.</summary>
public enum TrainerWish
{
    /// <summary>It goes on.</summary>
    GoOn,

    /// <summary>It saves and stops.</summary>
    Stop,

    /// <summary>It is killed: what it does is of no use any more.</summary>
    Abandon,
}

/// <summary>How a run ended, in the terms of its exit code (<see cref="TrainerExit"/>).</summary>
public enum TrainerOutcome
{
    /// <summary>What was asked for is there.</summary>
    Succeeded,

    /// <summary>It saved and stopped, as it was asked to.</summary>
    Stopped,

    /// <summary>The trainer found that it cannot succeed: another run would end alike.</summary>
    Failed,

    /// <summary>There is no room on the disk.</summary>
    DiskFull,

    /// <summary>It ended without a choice of its own: another run may succeed.</summary>
    Crashed,
}

/// <summary>The end of a run.</summary>
/// <param name="Code">Exit code; 128 and the signal's number where a signal ended it.</param>
/// <param name="LastLines">The last lines of the log, at most 20.</param>
public sealed record TrainerEnd(int Code, IReadOnlyList<string> LastLines)
{
    /// <summary>What the code means.</summary>
    public TrainerOutcome Outcome => Code switch
    {
        TrainerExit.Succeeded => TrainerOutcome.Succeeded,
        TrainerExit.Stopped => TrainerOutcome.Stopped,
        TrainerExit.DiskFull => TrainerOutcome.DiskFull,
        TrainerExit.BadJob or TrainerExit.BadData or TrainerExit.Collapsed or TrainerExit.Failed => TrainerOutcome.Failed,
        _ => TrainerOutcome.Crashed,
    };

    /// <summary>The end in words, for whoever asked for the run.</summary>
    /// <param name="lines">Lines of the log to quote.</param>
    public string Message(int lines) => $"The trainer ended with {Code}. Its last lines:\n{string.Join('\n', LastLines.TakeLast(lines))}";
}
