using System.ComponentModel.DataAnnotations;
using CaptionService.Api.Captions;

namespace CaptionService.Api.CaptionJobs;

/// <summary>Settings of jobs that caption many photos: section <c>CaptionJobs</c> of the configuration, or <c>CaptionJobs__Name</c> in the
/// environment.</summary>
public sealed class CaptionJobsOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "CaptionJobs";

    /// <summary>Folders of the server whose photos may be captioned, with all below them, by the name that callers use. Default:
    /// none.</summary>
    public IReadOnlyDictionary<string, string> Folders { get; init; } = new Dictionary<string, string>();

    /// <summary>Photos of a job in one batch: 1 to 16. The fewer, the sooner a request that comes meanwhile has its turn.</summary>
    [Range(1, CaptioningOptions.MaxPhotos)]
    public int BatchSize { get; init; } = 4;
}
