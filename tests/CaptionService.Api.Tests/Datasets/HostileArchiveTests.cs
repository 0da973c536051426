using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>What means harm is refused with a clear problem, and leaves nothing behind.</summary>
public sealed class HostileArchiveTests(DatasetService service)
{
    [Theory]
    [InlineData("../../escaped.jpg")]
    [InlineData("photos/../../escaped.jpg")]
    [InlineData("..\\escaped.jpg")]
    [InlineData("/tmp/escaped.jpg")]
    [InlineData("C:\\escaped.jpg")]
    [InlineData("\\\\server\\escaped.jpg")]
    public async Task Names_that_lead_elsewhere(string name)
    {
        await Refused(Made.Zip([.. Made.Files, (name, Photos.Cat)]), 422, "unsafe_archive");
        await Refused(Made.Tar([.. Made.Files, (name, Photos.Cat)]), 422, "unsafe_archive");
    }

    [Theory]
    [InlineData(TarEntryType.SymbolicLink)]
    [InlineData(TarEntryType.HardLink)]
    [InlineData(TarEntryType.CharacterDevice)]
    [InlineData(TarEntryType.BlockDevice)]
    [InlineData(TarEntryType.Fifo)]
    public async Task Links_and_devices_in_a_tar(TarEntryType type)
    {
        var entry = new PaxTarEntry(type, "photos/passwd.jpg");
        if (type is TarEntryType.SymbolicLink or TarEntryType.HardLink)
        {
            entry.LinkName = "/etc/passwd";
        }
        await Refused(Made.Tar(Made.Files, entry), 422, "unsafe_archive");
        await Refused(Made.Gzip(Made.Tar(Made.Files, entry)), 422, "unsafe_archive");
    }

    [Theory]
    [InlineData(0xA1FF)]    // a link
    [InlineData(0x21B6)]    // a character device
    [InlineData(0x11B6)]    // a pipe
    public Task Links_and_devices_in_a_zip(int mode) => Refused(Made.ZipOfType(mode, "captions.txt", "/etc/passwd"), 422, "unsafe_archive");

    [Fact]
    public async Task A_hundred_thousand_files_and_one()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            for (int i = 0; i <= 100_000; i++)
            {
                zip.CreateEntry($"{i}.jpg", CompressionLevel.NoCompression);
            }
        }
        Assert.Contains("100,001 files", await Refused(stream.ToArray(), 413, "archive_too_large"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("zip")]
    [InlineData("tar.gz")]
    [InlineData("tar.gz of nothing wanted")]
    public async Task A_bomb(string kind)
    {
        const int Length = 110_000_000;
        using var much = new SameByte(kind == "tar.gz of nothing wanted" ? (byte)0 : (byte)'a', Length);    // text would be stored
        using var packed = new MemoryStream();
        if (kind == "zip")
        {
            using var zip = new ZipArchive(packed, ZipArchiveMode.Create, leaveOpen: true);
            using Stream entry = zip.CreateEntry("captions.txt", CompressionLevel.SmallestSize).Open();
            much.CopyTo(entry);
        }
        else
        {
            using var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true);
            using var tar = new TarWriter(gzip);
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "captions.txt") { DataStream = much });
        }
        byte[] bomb = packed.ToArray();
        Assert.InRange(Length / bomb.Length, 900, 1032);      // as much as deflate can

        string detail = await Refused(bomb, 413, "archive_too_large");

        Assert.Contains("100 times its own bytes", detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Archives_within_archives_are_not_opened_and_said()
    {
        JsonNode dataset = await service.Checked(await service.Send(Made.Zip([.. Made.Files, ("more/inner.zip", Made.Zip(Made.Files)), ("inner.tar.gz", Made.Gzip(Made.Tar(Made.Files)))])));

        JsonNode finding = Finding(dataset, "nested_archives");
        Assert.Equal(2, (int)finding["count"]!);
        Assert.Equal("ready", (string?)dataset["status"]);
        Assert.Equal(6, (int)dataset["photos"]!);
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Only_an_archive_within_an_archive_brings_no_captions() =>
        await Refused(Made.Zip([("inner.zip", Made.Zip(Made.Files))]), 422, "no_captions");

    [Fact]
    public async Task Names_in_odd_encodings_become_safe_ones()
    {
        byte[] photo = Made.SmallPhotos["cat.jpg"];
        string[] names = ["Hündin.jpg", "a b\u0007c.jpg", "x?*.jpg", "ÄÖ/Hündin.jpg", ".hidden.jpg", new string('n', 200) + ".jpg"];
        string tokens = string.Concat(names.Select(name => $"{name}#0\ta photo of a dog\n"));
        (string, byte[])[] files = [.. names.Select((name, i) => (name, Changed(photo, i))), ("captions.txt", Encoding.UTF8.GetBytes(tokens.Replace('\u0007', '_')))];

        foreach (Encoding? encoding in (Encoding?[])[null, CodePagesEncodingProvider.Instance.GetEncoding(437)])
        {
            JsonNode dataset = await service.Checked(await service.Send(Made.Zip(files, encoding)));
            string folder = Path.Combine(service.Factory.Storage, "datasets", (string)dataset["id"]!, "photos");
            string[] stored = [.. Directory.GetFiles(folder).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];
            Assert.Equal(6, stored.Length);
            Assert.Contains("Hündin.jpg", stored);
            Assert.Contains("Hündin-2.jpg", stored);
            Assert.Contains("x__.jpg", stored);
            Assert.All(stored, name => Assert.Matches(@"^[\p{L}\p{N}_][\p{L}\p{N}._-]{0,99}$", name));
            Finding(dataset, "renamed_photos");
            await service.Delete((string)dataset["id"]!);
        }
    }

    [Fact]
    public async Task Names_that_come_twice_and_names_that_differ_in_casing()
    {
        byte[] photo = Made.SmallPhotos["cat.jpg"];
        byte[] archive = Made.Zip([("cat.jpg", photo), ("cat.jpg", Made.SmallPhotos["temple.jpg"]), ("Cat.jpg", Made.SmallPhotos["rocket.jpg"]), ("CAT.JPG", Made.SmallPhotos["coffee.jpg"]),
            ("captions.txt", Encoding.UTF8.GetBytes("cat.jpg#0\ta photo of a cat\nCat.jpg#0\ta photo of a rocket\nCAT.JPG#0\ta photo of a cup\ncat.jpg#1\ta cat a cat a cat\n"))]);

        JsonNode dataset = await service.Checked(await service.Send(archive));

        Assert.Equal(1, (int)Finding(dataset, "repeated_names")["count"]!);
        string folder = Path.Combine(service.Factory.Storage, "datasets", (string)dataset["id"]!, "photos");
        Assert.Equal(["CAT-3.JPG", "Cat-2.jpg", "cat.jpg"], Directory.GetFiles(folder).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal));
        Assert.Equal(photo, await File.ReadAllBytesAsync(Path.Combine(folder, "cat.jpg"), Service.Cancellation));
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Cut_and_garbled_archives()
    {
        byte[] zip = Made.Zip(Made.Files), tar = Made.Tar(Made.Files), gzip = Made.Gzip(tar);
        await Refused(zip[..(zip.Length / 2)], 422, "broken_archive");
        await Refused(tar[..5000], 422, "broken_archive");
        await Refused(gzip[..(gzip.Length / 2)], 422, "broken_archive");
        byte[] garbled = [.. gzip];
        Array.Fill(garbled, (byte)0x5A, 500, 2000);
        await Refused(garbled, 422, "broken_archive");
    }

    [Fact]
    public async Task Archives_of_other_kinds_and_what_is_none()
    {
        await Refused([(byte)'R', (byte)'a', (byte)'r', (byte)'!', 0x1A, 7, 0, 1, 2, 3], 415, "unknown_archive");
        await Refused([0, 1, 2, 3], 415, "unknown_archive");
        await Refused([], 415, "unknown_archive");
    }

    [Fact]
    public async Task A_disk_that_fills_up()
    {
        string disk = Directory.CreateTempSubdirectory("disk-").FullName;
        try
        {
            Assert.SkipUnless(OperatingSystem.IsLinux() && await Mount("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk), "This test needs to mount a small disk.");
            try
            {
                await using var factory = new ServiceFactory(host =>
                {
                    host.UseSetting("Storage:Folder", Path.Combine(disk, "data"));
                    ServiceFactory.WithoutModels(host);
                });
                using HttpClient client = await factory.Start(ready: false);
                byte[] noise = new byte[2_500_000];
                new Random(1).NextBytes(noise);
                byte[] photo = [.. Made.SmallPhotos["cat.jpg"], .. noise];

                // Full while the upload comes, and full while it is unpacked.
                foreach (int photos in (int[])[3, 1])
                {
                    var form = new MultipartFormDataContent { { new ByteArrayContent(Made.Zip([.. Made.Files, .. Enumerable.Range(0, photos).Select(i => ($"{i}.jpg", photo))])), "archive", "set.zip" } };
                    (await Answer.To(client, "/datasets", form)).IsProblem(507, "storage_full");
                    Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(disk, "data", "tmp")));
                    Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(disk, "data", "datasets")));
                }
                Assert.Empty((await Answer.Get(client, "/datasets")).Body["datasets"]!.AsArray());
            }
            finally
            {
                Assert.True(await Mount("umount", disk));
            }
        }
        finally
        {
            Directory.Delete(disk, recursive: true);
        }

        static async Task<bool> Mount(string program, params string[] arguments)
        {
            try
            {
                using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
                await process.WaitForExitAsync(Service.Cancellation);
                return process.ExitCode == 0;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return false;
            }
        }
    }

    private async Task<string> Refused(byte[] archive, int status, string code)
    {
        string[] before = service.Left;
        Answer answer = (await service.Send(archive)).IsProblem(status, code);
        Assert.Equal(before, service.Left);
        return (string)answer.Body["detail"]!;
    }

    private static JsonNode Finding(JsonNode dataset, string code) =>
        Assert.Single(dataset["report"]!["findings"]!.AsArray(), finding => (string?)finding!["code"] == code)!;

    // Another photo: near-duplicates are not what this is about.
    private static byte[] Changed(byte[] photo, int i) => i < Made.SmallPhotos.Count ? Made.SmallPhotos.Values.ElementAt(i) : photo;
}
