using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// <see cref="Photo"/>s decoded in another process, over its standard input and output: what a file breaks there breaks no more.
/// A question is the file's length and bytes; the answer is the photo, or why there is none.
/// </summary>
public static partial class PhotoPipe
{
    private const int PixelBytes = Photo.Side * Photo.Side * 3;
    private const int LimitOfData = 2;                  // RLIMIT_DATA
    private const ulong MaxMemory = 1_000_000_000;      // bytes that the process may write to, the runtime's own among them

    /// <summary>Asks the other process.</summary>
    /// <param name="to">Its standard input.</param>
    /// <param name="from">Its standard output.</param>
    /// <param name="bytes">The file.</param>
    /// <exception cref="PhotoRejectedException">The bytes are not a photo, are damaged or incomplete, or exceed a limit.</exception>
    /// <exception cref="IOException">The process is at its end.</exception>
    public static Photo Ask(Stream to, Stream from, ReadOnlySpan<byte> bytes)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BitConverter.TryWriteBytes(length, bytes.Length);
        to.Write(length);
        to.Write(bytes);
        to.Flush();
        using var answer = new BinaryReader(from, Encoding.UTF8, leaveOpen: true);
        if (answer.ReadBoolean())
        {
            int width = answer.ReadInt32(), height = answer.ReadInt32();
            byte[] pixels = new byte[PixelBytes];
            from.ReadExactly(pixels);
            return new Photo(width, height, pixels);
        }
        string code = answer.ReadString(), message = answer.ReadString();
        long? found = Nullable(answer), limit = Nullable(answer);
        throw new PhotoRejectedException(code, message, found, limit);
    }

    /// <summary>The other process's whole life: it answers until there is no more to read.</summary>
    public static void Serve()
    {
        if (OperatingSystem.IsLinux())
        {
            var most = new ResourceLimit { Soft = MaxMemory, Hard = MaxMemory };
            _ = setrlimit(LimitOfData, in most);
        }
        using Stream from = Console.OpenStandardInput(), to = new BufferedStream(Console.OpenStandardOutput(), 256 * 1024);
        byte[] length = new byte[sizeof(int)];
        using var answer = new BinaryWriter(to, Encoding.UTF8, leaveOpen: true);
        while (from.ReadAtLeast(length, length.Length, throwOnEndOfStream: false) == length.Length)
        {
            int size = BitConverter.ToInt32(length);
            byte[] bytes = ArrayPool<byte>.Shared.Rent(size);
            try
            {
                from.ReadExactly(bytes, 0, size);
                Photo photo = Photo.Decode(bytes.AsMemory(0, size));
                answer.Write(true);
                answer.Write(photo.Width);
                answer.Write(photo.Height);
                answer.Write(photo.Pixels.Span);
            }
            catch (PhotoRejectedException rejected)
            {
                answer.Write(false);
                answer.Write(rejected.Code);
                answer.Write(rejected.Message);
                Write(answer, rejected.Found);
                Write(answer, rejected.Limit);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(bytes);
            }
            answer.Flush();
        }
    }

    /// <summary>What is said of a file whose decoding ended the other process.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="inner">How its end was noticed.</param>
    public static PhotoRejectedException Ended(ReadOnlySpan<byte> bytes, Exception inner) =>
        new("broken_photo", $"The {Photo.FormatOf(bytes)} cannot be decoded: it ended its decoder.", inner);

    private struct ResourceLimit
    {
        public ulong Soft, Hard;
    }

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int setrlimit(int resource, in ResourceLimit limit);

    private static long? Nullable(BinaryReader answer) => answer.ReadBoolean() ? answer.ReadInt64() : null;

    private static void Write(BinaryWriter answer, long? number)
    {
        answer.Write(number.HasValue);
        if (number is { } value)
            answer.Write(value);
    }
}
