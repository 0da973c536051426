using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Models;

/// <summary>Settings of the registry: section <c>Models</c> of the configuration, or <c>Models__Name</c> in the environment.</summary>
public sealed class ModelsOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Models";

    /// <summary>Models kept in memory besides the active ones, for <c>model=name@version</c> and a quick way back: 0 to 64. Each takes 20 to 100 MB; encoders are shared.</summary>
    [Range(0, 64)]
    public int KeepLoaded { get; init; } = 2;

    /// <summary>Largest upload, in bytes: 1 MB to 8 GB. Each file of the bundle may have as many bytes when unpacked.</summary>
    [Range(1_000_000, 8_000_000_000)]
    public long MaxUploadBytes { get; init; } = 1_000_000_000;
}
