using System.IO.Compression;
using System.Text;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// A door to operators of libtorch that TorchSharp does not bind (namespaces <c>mkldnn</c> and <c>onednn</c>, which PyTorch's own
/// compiler uses): a TorchScript archive can name them, TorchScript text cannot. Nothing from outside is ever compiled.
/// </summary>
internal static class ScriptArchive
{
    /// <summary>Compiles methods of a module <c>M</c> without attributes.</summary>
    /// <param name="methods">TorchScript as an archive has it, indented by two; ends with a line end.</param>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">libtorch lacks an operator.</exception>
    public static jit.ScriptModule Load(string methods)
    {
        using var bytes = new MemoryStream();
        // A zip of stored entries.
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            Add("m/data.pkl", "\u0080\u0002c__torch__\nM\nq\u0000)\u0081}b.");     // pickle: a __torch__.M with an empty state
            Add("m/code/__torch__.py", "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n" + methods);
            Add("m/constants.pkl", "\u0080\u0002).");                             // pickle: an empty tuple
            Add("m/version", "3\n");

            void Add(string name, string latin1)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
                entry.Write(Encoding.Latin1.GetBytes(latin1));
            }
        }
        return jit.load(bytes.ToArray());
    }
}
