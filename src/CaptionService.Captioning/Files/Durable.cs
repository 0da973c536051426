using System.Runtime.InteropServices;

namespace CaptionService.Captioning.Files;

/// <summary>Files that are whole or not there, and that stay after a power cut: fsync of files and, where the system has it, of
/// folders.</summary>
public static partial class Durable
{
    /// <summary>Waits until a file's bytes, or a folder's entries, are on the disk.</summary>
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

    /// <summary>Writes a file whole or not at all: to a temporary file beside it, which then takes its name in one step. An older file
    /// stays until then.</summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes the temporary file at the path it is given.</param>
    /// <param name="temporary">Path of the temporary file; null: the file's with an ending that no other has.</param>
    public static void Replace(string path, Action<string> write, string? temporary = null)
    {
        temporary ??= $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            write(temporary);
            Sync(temporary);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);     // there only where the disk was full or the move failed
        }
        Sync(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Writes some bytes as a whole file (<see cref="Replace(string, Action{string}, string?)"/>).</summary>
    public static void Replace(string path, byte[] bytes, string? temporary = null) => Replace(path, file => File.WriteAllBytes(file, bytes), temporary);

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
