using CaptionService.Captioning.Models;

namespace CaptionService.Api.Models;

/// <summary>One version of a model, as the registry has it.</summary>
/// <param name="Card">What it says of itself; the version is the registry's.</param>
/// <param name="Folder">Its bundle.</param>
/// <param name="Shipped">Whether it is one that configuration names: always there, never changed.</param>
/// <param name="JobId">The job that made it.</param>
/// <param name="DatasetId">The data set it was trained on.</param>
/// <param name="CreatedAt">When it was registered.</param>
/// <param name="Active">Whether it answers for its language.</param>
/// <param name="ActivatedAt">When it last became active.</param>
/// <param name="Calibration">How its captions get their confidence; null where they have none.</param>
public sealed record RegisteredModel(ModelCard Card, string Folder, bool Shipped, string? JobId, string? DatasetId, DateTimeOffset CreatedAt, bool Active, DateTimeOffset? ActivatedAt,
    CalibrationResponse? Calibration)
{
    /// <summary>name@version.</summary>
    public string Reference => $"{Card.Name}@{Card.Version}";
}
