namespace CaptionService.Api.Storage;

/// <summary>Where a data set is in its life.</summary>
public enum DatasetStatus
{
    /// <summary>Its photos are being looked through.</summary>
    Checking,

    /// <summary>Jobs can train on it.</summary>
    Ready,

    /// <summary>Its report has errors: no job starts.</summary>
    Refused,
}
