using System.Runtime.InteropServices;
using TorchSharp;

namespace CaptionService.Captioning.Torch;

/// <summary>Process-wide settings of libtorch: memory, threads, the device in use.</summary>
public static partial class TorchRuntime
{
    // Before anything else here: OpenMP reads its settings when libtorch loads.
    private static readonly bool s_tuned = Tune();

    /// <summary><c>cuda:0</c> where there is a usable GPU, else the CPU.</summary>
    public static torch.Device Device { get; } = torch.cuda.is_available() ? torch.CUDA : torch.CPU;

    /// <summary>Call before the first tensor. Only the first call changes allocator and OpenMP; threads follow every call.</summary>
    /// <param name="threads">Threads of one operation; 0 = one per processor.</param>
    public static void Configure(int threads = 0)
    {
        _ = s_tuned;
        torch.set_num_threads(threads > 0 ? threads : Environment.ProcessorCount);
    }

    private static bool Tune()
    {
        if (!OperatingSystem.IsLinux())
            return false;
        try
        {
            // Threads of libgomp spin for milliseconds at every barrier. Where anything else wants the processors (a training
            // job, a second service) they spin against it: two processes on two cores took 2,300 ms a photo. With this count it
            // is 270; with none it would be 200, but a photo alone on an idle machine a fifth slower. A value the user has set stays.
            _ = setenv("GOMP_SPINCOUNT", "5000", 0);

            // Activations of a batch are tens of megabytes, which glibc by default maps and unmaps for every
            // operation: 15–35 % of the encoder's time. Keeping them in the heap costs some resident memory instead.
            const int TrimThreshold = -1, TopPad = -2, MmapMax = -4;
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

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int setenv(string name, string value, int overwrite);
}
