namespace CaptionService.Api.Storage;

/// <summary>One event of a job, as the trainer wrote it.</summary>
public sealed class TrainingJobEvent
{
    /// <summary>The job.</summary>
    public required string JobId { get; init; }

    /// <summary>1, 2, 3, … within the job, without gaps.</summary>
    public required long Number { get; init; }

    /// <summary>When it was written.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>started, progress, epoch, checkpoint, warning, stopped, failed, succeeded.</summary>
    public required string Type { get; init; }

    /// <summary>What happened (JSON).</summary>
    public required string Data { get; init; }
}
