using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>The mean of each of a photo's channels over its regions: what photos are compared by.</summary>
public static class ChannelMeans
{
    /// <summary>Takes the means.</summary>
    /// <param name="features">(N, regions, F), or (N, F), which are taken as they are; of any type.</param>
    /// <returns>(N, F) float32, on the same device; the caller's to dispose.</returns>
    public static Tensor Of(Tensor features) =>
        features.dim() == 3 ? features.mean([1], type: ScalarType.Float32) : features.to(ScalarType.Float32, copy: true);
}
