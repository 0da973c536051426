using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>What a stage teaches: captions, to the decoder that shall write such ones, from the photos they belong to.</summary>
/// <param name="Captions">Of each training photo, as ids.</param>
/// <param name="Decoder">Learns.</param>
/// <param name="Views">The photos, row by row as the captions.</param>
/// <param name="Sources">Where they come from.</param>
/// <param name="Encoder">Learns too; null: the views are what the decoder sees.</param>
internal sealed record Lesson(int[][][] Captions, CaptionDecoder Decoder, TrainingViews Views, IReadOnlyList<Source> Sources, TunedEncoder? Encoder = null)
{
    /// <summary>What the decoder sees of photos: (N, 196, F) or (N, F), in the caller's scope.</summary>
    public Tensor See(FeatureSource view, IReadOnlyList<int> photos)
    {
        var features = view.Rows(photos).to(TorchRuntime.Device);
        return Encoder?.See(features) ?? features;
    }
}
