using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Torch;

/// <summary>
/// Arithmetic with numbers that live as long as the native call that reads them. TorchSharp passes a <see cref="Scalar"/> by
/// its address and does not keep it: one made implicitly (<c>x.mul(2)</c>), or by TorchSharp itself (<c>x.add(y)</c> makes a
/// factor 1), may be finalized by another thread's garbage collection first. libtorch then reads freed memory: a wrong number
/// or a process that ends with SIGSEGV. Everywhere else a Scalar is a <c>using</c> variable; a test reads the compiled code for others.
/// </summary>
internal static class TensorArithmetic
{
    private static readonly Scalar s_zero = 0L, s_one = 1L;

    /// <summary>x + y.</summary>
    public static Tensor plus(this Tensor x, Tensor y) => x.add(y, s_one);

    /// <summary>x + y in the memory of x.</summary>
    public static Tensor plus_(this Tensor x, Tensor y) => x.add_(y, s_one);

    /// <summary>x + y, a number of its own for each element of x.</summary>
    public static Tensor plus(this Tensor x, double y)
    {
        using Scalar number = y;
        return x.add(number, s_one);
    }

    /// <summary>x · y.</summary>
    public static Tensor times(this Tensor x, double y)
    {
        using Scalar number = y;
        return x.mul(number);
    }

    /// <summary>The whole numbers 0 … count - 1, (count) int64.</summary>
    public static Tensor upto(long count, Device? device = null)
    {
        using Scalar end = count;
        return arange(s_zero, end, s_one, ScalarType.Int64, device);
    }

    /// <summary>The number that a tensor of one element holds, on any device.</summary>
    public static double value(this Tensor x)
    {
        using var number = x.ToScalar();
        return number.ToDouble();
    }
}
