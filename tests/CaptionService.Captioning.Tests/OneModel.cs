using CaptionService.Captioning.Encoders;

namespace CaptionService.Captioning.Tests;

internal static class OneModel
{
    /// <summary>Captions photos with one model, each with options of its own.</summary>
    public static CaptionedBatch Caption(this CaptionModel model, IReadOnlyList<Photo> photos, IReadOnlyList<CaptionOptions> options) =>
        Captioner.Caption([.. photos.Zip(options, (photo, its) => new CaptionJob(photo, its, model))]);
}
