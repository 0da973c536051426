using System.IO.Compression;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// oneDNN's 3×3 convolution with bias and ReLU in one kernel, on weights brought into its own blocked layout once: the same
/// results as <c>conv2d</c> and <c>relu</c>, without reordering 15 million weights on every call.
/// </summary>
/// <remarks>
/// TorchSharp does not bind these operators (namespace <c>mkldnn</c>, which PyTorch's own compiler uses), but a TorchScript
/// archive can name them. The archive is the constant below; nothing from outside is ever compiled.
/// </remarks>
internal sealed class FusedConvolution : IDisposable
{
    private const string Code = """
        class M(Module):
          __parameters__ = []
          __buffers__ = []
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
            fused = new FusedConvolution(jit.load(Archive()));
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

    /// <summary>A TorchScript archive (a zip of stored entries) of one module without attributes.</summary>
    private static byte[] Archive()
    {
        using var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            Add("m/data.pkl", "\u0080\u0002c__torch__\nM\nq\u0000)\u0081}b.");     // pickle: a __torch__.M with an empty state
            Add("m/code/__torch__.py", Code);
            Add("m/constants.pkl", "\u0080\u0002).");                             // pickle: an empty tuple
            Add("m/version", "3\n");

            void Add(string name, string latin1)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
                entry.Write(Encoding.Latin1.GetBytes(latin1));
            }
        }
        return bytes.ToArray();
    }
}
