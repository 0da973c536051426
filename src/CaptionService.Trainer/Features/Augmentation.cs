using System.Buffers.Binary;
using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Features;

/// <summary>What is done to a training photo before it is encoded; each augmentation is a feature pass of its own.</summary>
public enum Augmentation
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Left and right are exchanged.</summary>
    Flip,

    /// <summary>A random crop, three quarters of each side or more, is stretched to the whole size.</summary>
    Crop,
}

/// <summary>Applies augmentations.</summary>
internal static class AugmentationExtensions
{
    private const double LeastSide = 0.75;

    /// <summary>The name in progress messages and in the digest that names a cache; changing it would make the caches of older versions useless.</summary>
    public static string Name(this Augmentation augmentation) => augmentation switch
    {
        Augmentation.None => "upright",
        Augmentation.Flip => "mirrored",
        _ => "cropped",
    };

    /// <summary>Augments photos. A photo's own pixels seed its crop, so the same photo is always cropped the same way.</summary>
    /// <param name="augmentation">What to do.</param>
    /// <param name="pixels">(N, H, W, 3) uint8.</param>
    /// <returns>(N, H, W, 3) uint8; in the caller's scope.</returns>
    public static Tensor Apply(this Augmentation augmentation, Tensor pixels) => augmentation switch
    {
        Augmentation.None => pixels,
        Augmentation.Flip => pixels.flip(2),
        _ => Crop(pixels),
    };

    private static Tensor Crop(Tensor pixels)
    {
        using var scope = NewDisposeScope();
        using Scalar black = 0L, white = 255L;
        long h = pixels.shape[1], w = pixels.shape[2];
        var parts = pixels.unbind(0).Select(photo =>
        {
            var random = new Random(BinaryPrimitives.ReadInt32LittleEndian(SHA256.HashData(photo.bytes)));
            long height = Side(h), width = Side(w), top = random.NextInt64(h - height + 1), left = random.NextInt64(w - width + 1);
            var part = photo.narrow(0, top, height).narrow(1, left, width).permute(2, 0, 1).unsqueeze(0).to(ScalarType.Float32);
            return nn.functional.interpolate(part, [h, w], mode: InterpolationMode.Bilinear, align_corners: false)
                .round_().clamp_(black, white).to(ScalarType.Byte).permute(0, 2, 3, 1);

            long Side(long whole) => (long)Math.Round(whole * (LeastSide + (1 - LeastSide) * random.NextDouble()));
        });
        return cat([.. parts]).contiguous().MoveToOuterDisposeScope();
    }
}
