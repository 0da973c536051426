using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Datasets;

/// <summary>Settings of data sets: section <c>Datasets</c> of the configuration, or <c>Datasets__Name</c> in the environment.</summary>
public sealed class DatasetsOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Datasets";

    /// <summary>Largest <c>POST /datasets</c>, in bytes: 1 MB to 20 GB. It is streamed to the disk, never held in memory.</summary>
    [Range(1_000_000L, 20_000_000_000L)]
    public long MaxUploadBytes { get; init; } = 20_000_000_000;

    /// <summary>Most bytes that an upload's archives may unpack to, together: 1 MB to 100 GB.</summary>
    [Range(1_000_000L, 100_000_000_000L)]
    public long MaxUnpackedBytes { get; init; } = 40_000_000_000;

    /// <summary>Most files in an upload's archives, or an imported folder, together: 1 to 1,000,000.</summary>
    [Range(1, 1_000_000)]
    public int MaxFiles { get; init; } = 100_000;

    /// <summary>Largest file of captions, in bytes: 1 KB to 2 GB. Its captions are held in memory while it is read.</summary>
    [Range(1_000L, 2_000_000_000L)]
    public long MaxCaptionBytes { get; init; } = 256_000_000;

    /// <summary>Largest share of a caption file's lines that may be broken and left out: 0 to 1; beyond it the data set is refused.</summary>
    [Range(0.0, 1.0)]
    public double MaxBrokenShare { get; init; } = 0.05;

    /// <summary>Folders of the server that may be imported from, with all that is below them. Default: none.</summary>
    public IReadOnlyList<string> ImportFolders { get; init; } = [];

    /// <summary>Whether the report estimates minutes of training; measuring takes about ten seconds of each inspection.</summary>
    public bool Estimate { get; init; } = true;
}
