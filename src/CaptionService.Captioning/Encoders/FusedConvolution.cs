using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// oneDNN's 3×3 convolution with bias and ReLU in one kernel, on weights brought into its own blocked layout once: the same
/// results as <c>conv2d</c> and <c>relu</c>, without reordering 15 million weights on every call.
/// </summary>
internal sealed class FusedConvolution : IDisposable
{
    private const string Methods = """
          def pack(self: __torch__.M, w: Tensor, n: int, side: int) -> Tensor:
            return ops.mkldnn._reorder_convolution_weight(w, [1, 1], [1, 1], [1, 1], 1, [n, torch.size(w, 1), side, side])
          def layout(self: __torch__.M, w: Tensor) -> Tensor:
            return ops.mkldnn._get_mkldnn_serialized_md(w)
          def conv(self: __torch__.M, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            return ops.mkldnn._convolution_pointwise(x, w, b, [1, 1], [1, 1], [1, 1], 1, "relu", annotate(List[Optional[number]], []), "")

        """;

    private readonly jit.ScriptModule _module;

    private FusedConvolution(jit.ScriptModule module)
    {
        _module = module;
    }

    /// <summary>The kernel, or null where libtorch has none: another device, a build without oneDNN, a number format that this processor
    /// has no instructions for (bfloat16 without AVX-512).</summary>
    public static FusedConvolution? TryLoad(Device device, ScalarType type)
    {
        if (device.type != DeviceType.CPU)
            return null;
        FusedConvolution? fused = null;
        try
        {
            fused = new FusedConvolution(ScriptArchive.Load(Methods));
            using var scope = NewDisposeScope();
            using var w = fused.Pack(zeros(8, 8, 3, 3, type), 1, 4);
            fused.Apply(zeros(1, 8, 4, 4, type), w, zeros(8, type));
            return fused;
        }
        catch (Exception e) when (e is System.Runtime.InteropServices.ExternalException or IOException)
        {
            fused?.Dispose();
            return null;
        }
    }

    /// <summary>Weights (out, in, 3, 3) in the layout the kernel wants for a batch of photos of a side; opaque to everything
    /// else.</summary>
    public Tensor Pack(Tensor weight, int batch, int side) => (Tensor)_module.invoke("pack", weight, batch, side);      // ints travel by value, longs as Scalars that nobody keeps

    /// <summary>Describes how packed weights lie in memory: equal bytes, equal layout.</summary>
    public byte[] Layout(Tensor packed)
    {
        using var description = (Tensor)_module.invoke("layout", packed);
        return description.bytes.ToArray();
    }

    /// <summary>relu(conv(x)): (N, in, side, side) → (N, out, side, side).</summary>
    public Tensor Apply(Tensor x, Tensor packed, Tensor bias) => (Tensor)_module.invoke("conv", x, packed, bias);

    public void Dispose() => _module.Dispose();
}
