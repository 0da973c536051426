using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using NetVips;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>Archives and data sets made for a purpose.</summary>
internal static class Made
{
    private static readonly Lazy<Dictionary<string, byte[]>> s_photos = new(() => Photos.SampleNames.ToDictionary(name => name + ".jpg", name =>
    {
        using Image small = Image.ThumbnailBuffer(Photos.Sample(name), 120);
        return small.JpegsaveBuffer();
    }));

    /// <summary>The samples, small, by file name.</summary>
    public static IReadOnlyDictionary<string, byte[]> SmallPhotos => s_photos.Value;

    /// <summary>Two captions for each sample, as a token file.</summary>
    public static string Tokens => string.Concat(Photos.SampleNames.Select(name => $"{name}.jpg#0\ta photo of the {name} that is here\n{name}.jpg#1\there is a photo of a {name}\n"));

    /// <summary>The samples with a token file.</summary>
    public static IEnumerable<(string Name, byte[] Bytes)> Files => [.. SmallPhotos.Select(photo => ("photos/" + photo.Key, photo.Value)), ("captions.txt", Encoding.UTF8.GetBytes(Tokens))];

    public static byte[] Zip(IEnumerable<(string Name, byte[] Bytes)> files, Encoding? names = null)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true, names))
        {
            foreach ((string name, byte[] bytes) in files)
            {
                using Stream entry = zip.CreateEntry(name, CompressionLevel.Fastest).Open();
                entry.Write(bytes);
            }
        }
        return stream.ToArray();
    }

    public static byte[] Tar(IEnumerable<(string Name, byte[] Bytes)> files, params TarEntry[] special)
    {
        using var stream = new MemoryStream();
        using (var tar = new TarWriter(stream, leaveOpen: true))
        {
            foreach ((string name, byte[] bytes) in files)
            {
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(bytes) });
            }
            foreach (TarEntry entry in special)
            {
                tar.WriteEntry(entry);
            }
        }
        return stream.ToArray();
    }

    public static byte[] Gzip(byte[] bytes)
    {
        using var stream = new MemoryStream();
        using (var gzip = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(bytes);
        }
        return stream.ToArray();
    }

    /// <summary>A zip whose every entry has these Unix attributes.</summary>
    public static byte[] ZipOfType(int unixMode, string name, string content)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            ZipArchiveEntry entry = zip.CreateEntry(name);
            entry.ExternalAttributes = unixMode << 16;
            using Stream body = entry.Open();
            body.Write(Encoding.UTF8.GetBytes(content));
        }
        return stream.ToArray();
    }
}
