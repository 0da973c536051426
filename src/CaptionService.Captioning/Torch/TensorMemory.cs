using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Torch;

/// <summary>Tensors as plain memory, for loops that libtorch has no operator for.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>The first element of a contiguous CPU tensor; valid as long as the tensor is.</summary>
    public static T* Pointer<T>(this Tensor x) where T : unmanaged => (T*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(x.bytes));
}
