using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// x + y with a factor that is never collected. <c>add(Tensor)</c> makes a Scalar 1 for each call and does not keep it alive
/// through the native call: under a busy garbage collector its finalizer runs first, and libtorch reads freed memory.
/// </summary>
internal static class Sums
{
    private static readonly Scalar s_one = 1L;

    public static Tensor plus(this Tensor x, Tensor y) => x.add(y, s_one);

    public static Tensor plus_(this Tensor x, Tensor y) => x.add_(y, s_one);
}
