using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.TrainingJobs;

/// <summary>How jobs are run: section <c>Training</c> of the configuration, or <c>Training__Name</c> in the environment.</summary>
public sealed class TrainingSettings
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Training";

    /// <summary>Jobs that train at the same time: 1 to 16.</summary>
    [Range(1, 16)]
    public int Jobs { get; init; } = 1;

    /// <summary>How long this server's hold on a job lasts without renewal, after which another may take it: 5 seconds to 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:05", "00:10:00")]
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Crashes in a row without progress after which a job fails: 1 to 100.</summary>
    [Range(1, 100)]
    public int MaxCrashes { get; init; } = 3;
}
