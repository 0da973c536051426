using System.Buffers.Binary;
using System.IO.Compression;
using CaptionService.Captioning.Models;
using Microsoft.Extensions.Primitives;

namespace CaptionService.Api.Models;

/// <summary>
/// An uploaded bundle, taken as hostile: streamed to disk, counted while it is unpacked, and never unpacked to a name of its
/// own choice. What the files hold is checked afterwards, by <see cref="ModelRegistry.Register"/>.
/// </summary>
internal static class ModelUpload
{
    private const int EndBytes = 22;                    // of a zip's end record without a comment
    private const int MaxDirectoryBytes = 64 * 1024;

    /// <summary>Reads the body, a zip or a form with one, into a new folder.</summary>
    /// <param name="request">The request.</param>
    /// <param name="temporary">Where to work.</param>
    /// <param name="maxBytes">Limit of the zip, and of each file in it.</param>
    /// <param name="aborted">The caller left.</param>
    /// <returns>The folder, the caller's to remove.</returns>
    /// <exception cref="ProblemException">It is no bundle.</exception>
    public static async Task<string> Read(HttpRequest request, string temporary, long maxBytes, CancellationToken aborted)
    {
        string folder = Path.Combine(temporary, Ids.New()), zip = folder + ".zip";
        try
        {
            await Receive(request, zip, maxBytes, aborted);
            Directory.CreateDirectory(folder);
            await Unpack(zip, folder, maxBytes, aborted);
            return folder;
        }
        catch
        {
            ModelStore.Remove(folder);
            throw;
        }
        finally
        {
            File.Delete(zip);
        }
    }

    private static async Task Receive(HttpRequest request, string path, long maxBytes, CancellationToken aborted)
    {
        if (request.ContentLength > maxBytes)
            throw TooLarge($"{request.ContentLength:N0} bytes", maxBytes);
        RequestBody.Limit(request, maxBytes);
        try
        {
            Stream body = request.Body;
            if (RequestBody.MediaType(request, out StringSegment boundary) == "multipart/form-data")
            {
                body = (await RequestBody.Parts(request, boundary).ReadNextSectionAsync(aborted))?.Body
                    ?? throw new ProblemException(ProblemTable.MalformedBody, "The form has no file.");
            }
            await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 64 * 1024, useAsync: true);
            await Copy(body, file, maxBytes, () => TooLarge("more", maxBytes), aborted);
        }
        catch (Exception failure) when (RequestBody.BreaksOff(failure, aborted))
        {
            throw RequestBody.BrokenForm();
        }
    }

    private static async Task Unpack(string path, string folder, long maxBytes, CancellationToken aborted)
    {
        await using FileStream file = File.OpenRead(path);
        CheckEnd(file);
        try
        {
            using var zip = new ZipArchive(file, ZipArchiveMode.Read);
            ZipArchiveEntry[] entries = [.. zip.Entries.Where(entry => !entry.FullName.EndsWith('/'))];
            string top = entries.Length > 0 && entries[0].FullName.IndexOf('/', StringComparison.Ordinal) is > 0 and int slash ? entries[0].FullName[..(slash + 1)] : "";
            foreach (ZipArchiveEntry entry in entries)
            {
                string name = entry.FullName.StartsWith(top, StringComparison.Ordinal) ? entry.FullName[top.Length..] : entry.FullName;
                BundleFile known = BundleFiles.All.FirstOrDefault(file => file.Name == name) ?? throw Refused($"'{entry.FullName.Printable().Shortened(60)}' has no place in a bundle.");
                long most = known.MostBytes ?? maxBytes;
                if (entry.IsEncrypted || (entry.ExternalAttributes >>> 16 & 0xF000) is not (0 or 0x8000))
                    throw Refused($"{name} is encrypted, a link or a device.");
                string target = Path.Combine(folder, name);
                if (File.Exists(target))
                    throw Refused($"{name} is in the zip twice.");
                await using Stream packed = entry.Open();
                await using var unpacked = new FileStream(target, FileMode.CreateNew, FileAccess.Write, FileShare.None, 64 * 1024, useAsync: true);
                await Copy(packed, unpacked, most, () => Refused($"{name} is larger than {most:N0} bytes when unpacked."), aborted);
            }
        }
        catch (Exception broken) when (broken is InvalidDataException or NotSupportedException or EndOfStreamException)
        {
            throw Refused("The zip is broken, or packed in a way that is not read.");
        }
    }

    // Before anything of it is read into memory: the directory is small, and ends where the file does.
    private static void CheckEnd(FileStream file)
    {
        Span<byte> end = stackalloc byte[EndBytes];
        if (file.Length >= EndBytes)
        {
            file.Position = file.Length - EndBytes;
            file.ReadExactly(end);
            file.Position = 0;
        }
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(end[12..]), start = BinaryPrimitives.ReadUInt32LittleEndian(end[16..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(end) != 0x06054B50 || (long)start + size != file.Length - EndBytes)
            throw Refused("The body is no zip, breaks off, or has something after its end.");
        if (size > MaxDirectoryBytes)
            throw Refused("The zip lists far more files than a bundle has.");
    }

    private static async Task Copy(Stream from, Stream to, long most, Func<ProblemException> tooMany, CancellationToken aborted)
    {
        byte[] buffer = new byte[64 * 1024];
        long all = 0;
        for (int read; (read = await from.ReadAsync(buffer, aborted)) > 0;)
        {
            if ((all += read) > most)
                throw tooMany();
            await to.WriteAsync(buffer.AsMemory(0, read), aborted);
        }
    }

    private static ProblemException TooLarge(string found, long most) => new(ProblemTable.BodyTooLarge, $"A bundle may have {most:N0} bytes, this one has {found}.");

    private static ProblemException Refused(string why) => new(ProblemTable.ModelRefused, why);
}
