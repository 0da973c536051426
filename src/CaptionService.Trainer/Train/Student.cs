using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>The networks that learn one language, and the captions and photos they learn from.</summary>
/// <param name="Captions">The captions of each training photo, as ids.</param>
/// <param name="Decoder">Learns to write such captions.</param>
/// <param name="Augmentations">The features of the photos, in the order of the captions.</param>
/// <param name="Sources">Where the photos come from.</param>
/// <param name="Encoder">The encoder's last block, where it learns too; null: the features are the decoder's input.</param>
internal sealed record Student(int[][][] Captions, CaptionDecoder Decoder, Augmentations Augmentations, IReadOnlyList<Source> Sources, TunedEncoder? Encoder = null)
{
    /// <summary>The decoder's input for some photos: (N, 196, F) or (N, F), in the caller's scope.</summary>
    public Tensor Encode(FeatureSource source, IReadOnlyList<int> photos)
    {
        var features = source.Rows(photos).to(TorchRuntime.Device);
        return Encoder?.Forward(features) ?? features;
    }
}
