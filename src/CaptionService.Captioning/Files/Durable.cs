using System.Runtime.InteropServices;

namespace CaptionService.Captioning.Files;

/// <summary>What was written stays after a power cut: fsync of files and, where the system has it, of folders.</summary>
internal static partial class Durable
{
    public static void Sync(string path)
    {
        if (Directory.Exists(path))
        {
            if (OperatingSystem.IsWindows())
                return;             // NTFS journals renames itself
            int descriptor = open(path, 0);
            if (descriptor >= 0)
            {
                _ = fsync(descriptor);
                _ = close(descriptor);
            }
            return;
        }
        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        stream.Flush(flushToDisk: true);
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int fsync(int descriptor);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int close(int descriptor);
}
