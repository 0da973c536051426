using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// oneDNN's 3×3 convolution of unsigned bytes with signed ones, with factor, bias and ReLU in one kernel. Its sums are exact,
/// so a photo's features do not depend on its neighbours in the batch.
/// </summary>
internal sealed class Int8Kernel : IDisposable
{
    // Scales of input and output are 1: both are inside the factors.
    private const string Methods = """
          def pack(self: __torch__.M, w: Tensor, f: Tensor, n: int, side: int, pad: int) -> Tensor:
            return ops.onednn.qconv_prepack(w, f, 1., 0, [1, 1], [pad, pad], [1, 1], 1, [n, torch.size(w, 1), side, side])
          def bytes(self: __torch__.M, x: Tensor, w: Tensor, f: Tensor, z: Tensor, b: Tensor, pad: int) -> Tensor:
            return ops.onednn.qconv2d_pointwise(x, 1., 0, w, f, z, b, [1, 1], [pad, pad], [1, 1], 1, 1., 0, None, "relu", annotate(List[Optional[number]], []), "")
          def floats(self: __torch__.M, x: Tensor, w: Tensor, f: Tensor, z: Tensor, b: Tensor, pad: int, type: int) -> Tensor:
            return ops.onednn.qconv2d_pointwise(x, 1., 0, w, f, z, b, [1, 1], [pad, pad], [1, 1], 1, 1., 0, type, "relu", annotate(List[Optional[number]], []), "")

        """;

    private readonly jit.ScriptModule _module;

    private Int8Kernel(jit.ScriptModule module)
    {
        _module = module;
    }

    /// <summary>
    /// Largest weight: 127, or 63 on processors without VNNI, which add up pairs of products in 16 bits: 255·127 twice is too much
    /// for those.
    /// </summary>
    public int MaxWeight { get; private set; } = 127;

    /// <summary>The kernel, or null where libtorch has none or it does not calculate right: another device, another build.</summary>
    public static Int8Kernel? TryLoad(Device device)
    {
        if (device.type != DeviceType.CPU)
            return null;
        Int8Kernel? kernel = null;
        try
        {
            kernel = new Int8Kernel(ScriptArchive.Load(Methods));
            if (!kernel.IsExact())
            {
                kernel.MaxWeight = 63;
                if (!kernel.IsExact())
                {
                    kernel.Dispose();
                    return null;
                }
            }
            return kernel;
        }
        catch (Exception e) when (e is ExternalException or IOException)
        {
            kernel?.Dispose();
            return null;
        }
    }

    /// <summary>Weights (out, in, 3, 3) int8 in the kernel's own layout; opaque to everything else.</summary>
    public Tensor Pack(Tensor weight, Tensor factors, int side, int padding) =>
        (Tensor)_module.invoke("pack", weight, factors, 1, side, padding);      // ints travel by value, longs as Scalars that nobody keeps

    /// <summary>relu(conv(x) · factor + bias), rounded and held to 0 … 255: (N, in, side, side) uint8 → (N, out, side, side) uint8.</summary>
    public Tensor Bytes(Tensor x, Tensor packed, Tensor factors, Tensor zeros, Tensor bias, int padding) =>
        (Tensor)_module.invoke("bytes", x, packed, factors, zeros, bias, padding);

    /// <summary>relu(conv(x) · factor + bias): (N, in, side, side) uint8 → (N, out, side, side) float32 or bfloat16.</summary>
    public Tensor Floats(Tensor x, Tensor packed, Tensor factors, Tensor zeros, Tensor bias, int padding, ScalarType type) =>
        (Tensor)_module.invoke("floats", x, packed, factors, zeros, bias, padding, (int)type);

    /// <summary>Whether it agrees with the floating-point convolution, which is exact here, on numbers of all sizes and on the largest.</summary>
    private bool IsExact()
    {
        const int Channels = 32, Side = 8;
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        // Numbers of its own: torch's generator belongs to who seeded it.
        uint next = 1;
        float Draw(int least, int most) => least + (next = next * 1664525 + 1013904223) / 65536 % (most - least + 1);
        var weight = tensor(Enumerable.Range(0, Channels * Channels * 9).Select(i => i < Channels * 9 ? MaxWeight : Draw(-MaxWeight, MaxWeight)).ToArray()).view(Channels, Channels, 3, 3);
        var x = tensor(Enumerable.Range(0, 2 * Side * Side * Channels).Select(i => i < Side * Side * Channels ? 255 : Draw(0, 255)).ToArray()).view(2, Side, Side, Channels).permute(0, 3, 1, 2);
        var (factors, none) = (ones(Channels), zeros(Channels, ScalarType.Int32));
        var found = Floats(x.to(ScalarType.Byte), Pack(weight.to(ScalarType.Int8), factors, Side, 1), factors, none, zeros(Channels), 1, ScalarType.Float32);
        return found.equal(nn.functional.conv2d(x, weight, null, padding: [1L, 1L]).relu_()).all().item<bool>();
    }

    public void Dispose() => _module.Dispose();
}
