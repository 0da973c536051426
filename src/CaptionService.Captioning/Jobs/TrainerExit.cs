namespace CaptionService.Captioning.Jobs;

/// <summary>
/// Exit codes of the trainer. Failures are numbered from 100, where neither a shell nor a native abort puts its own:
/// any other code means that the program did not choose to end.
/// </summary>
public static class TrainerExit
{
    /// <summary>Done; <c>result.json</c> and the model are there.</summary>
    public const int Succeeded = 0;

    /// <summary>Asked to stop: a checkpoint was saved, and the same command goes on from it.</summary>
    public const int Stopped = 100;

    /// <summary>The command line or <c>job.json</c> is wrong.</summary>
    public const int BadJob = 101;

    /// <summary>The data set is wrong.</summary>
    public const int BadData = 102;

    /// <summary>Training collapsed: going on is useless.</summary>
    public const int Collapsed = 103;

    /// <summary>Something unforeseen; the log says what.</summary>
    public const int Failed = 104;

    /// <summary>A later attempt has the folder: this one wrote nothing more.</summary>
    public const int Superseded = 105;

    /// <summary>The disk is full: once there is room, the same command goes on from the last checkpoint.</summary>
    public const int DiskFull = 106;

    /// <summary>Whether a failure says that there is no room on the disk, or none left of a user's share of it.</summary>
    public static bool IsDiskFull(IOException failure) => (failure.HResult & 0xFFFF) is 28 or 122 or 112;      // ENOSPC, EDQUOT, ERROR_DISK_FULL
}
