using System.Runtime.InteropServices;
using TorchSharp;

namespace CaptionService.Captioning;

/// <summary>Process-wide settings of libtorch: memory, threads, the device in use.</summary>
public static partial class TorchRuntime
{
    /// <summary><c>cuda:0</c> where there is a usable GPU, else the CPU.</summary>
    public static torch.Device Device { get; } = torch.cuda.is_available() ? torch.CUDA : torch.CPU;

    private static readonly Lazy<bool> s_allocator = new(TuneAllocator);

    /// <summary>Call before the first tensor. Only the first call changes the allocator; threads follow every call.</summary>
    /// <param name="threads">Threads of one operation; 0 = one per processor.</param>
    public static void Configure(int threads = 0)
    {
        _ = s_allocator.Value;
        torch.set_num_threads(threads > 0 ? threads : Environment.ProcessorCount);
    }

    // Activations of a batch are tens of megabytes, which glibc by default maps and unmaps for every
    // operation: 15–35 % of the encoder's time. Keeping them in the heap costs some resident memory instead.
    private static bool TuneAllocator()
    {
        if (!OperatingSystem.IsLinux())
            return false;
        const int TrimThreshold = -1, TopPad = -2, MmapMax = -4;
        try
        {
            return mallopt(MmapMax, 0) == 1 && mallopt(TrimThreshold, int.MaxValue) == 1 && mallopt(TopPad, 64 << 20) == 1;
        }
        catch (EntryPointNotFoundException)     // musl has no mallopt
        {
            return false;
        }
    }

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int mallopt(int parameter, int value);
}
