using System.Buffers.Binary;
using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>How the encoder sees a training photo; each view is a feature pass of its own.</summary>
public enum PhotoView
{
    /// <summary>As it is.</summary>
    Upright,

    /// <summary>Left and right exchanged.</summary>
    Mirrored,

    /// <summary>A part of it, three quarters of each side or more, stretched over the whole.</summary>
    Cropped,
}

/// <summary>Makes the views.</summary>
internal static class PhotoViews
{
    private const double LeastSide = 0.75;

    /// <summary>For progress and the digest of a cache.</summary>
    public static string Name(PhotoView view) => view switch
    {
        PhotoView.Upright => "upright",
        PhotoView.Mirrored => "mirrored",
        _ => "cropped",
    };

    /// <summary>Photos in a view. The part that is cut out is drawn by the photo's own pixels: the same photo gives the same view again.</summary>
    /// <param name="pixels">(N, H, W, 3) uint8.</param>
    /// <param name="view">Which.</param>
    /// <returns>Of the same shape and type; in the caller's scope.</returns>
    public static Tensor See(Tensor pixels, PhotoView view) => view switch
    {
        PhotoView.Upright => pixels,
        PhotoView.Mirrored => pixels.flip(2),
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
