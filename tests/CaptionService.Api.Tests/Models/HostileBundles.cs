using System.Diagnostics;
using System.Text;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Tests;
using TorchSharp;

namespace CaptionService.Api.Tests.Models;

/// <summary>Zips that are no bundles, or bundles that must not be taken.</summary>
internal static class HostileBundles
{
    /// <summary>One of the hostile zips, by its name.</summary>
    public static byte[] Zip(string what)
    {
        (string Name, byte[] Bytes)[] files = ModelService.Files(99);
        byte[] zip = ModelService.Zip(files);
        return what switch
        {
            "not a zip" => Photos.Cat,
            "empty" => [],
            "cut" => zip[..(zip.Length / 2)],
            "trailing" => [.. zip, 0],
            "no files" => ModelService.Zip([]),
            "traversal" => ModelService.Zip([.. files, ("../../evil", [1])]),
            "stranger" => ModelService.Zip([.. files, ("readme.txt", [1])]),
            "twice" => ModelService.Zip([.. files, files[2]]),
            "link" => ModelService.Zip(files, entry => entry.ExternalAttributes = unchecked((int)0xA1FF0000)),
            "bomb" => ModelService.Zip([files[0], files[1], (files[2].Name, new byte[50_000_000])]),
            "changed" => ModelService.Zip([files[0], files[1], (files[2].Name, [.. files[2].Bytes[..^1], (byte)(files[2].Bytes[^1] ^ 1)])]),
            "no decoder" => ModelService.Zip(files[..2]),
            "too large sizes" => Edited("\"hidden\": 32", "\"hidden\": 4096"),
            "bad name" => Edited("\"name\": \"small\"", "\"name\": \"../small\""),
            "null" => Edited("\"language\": \"en\"", "\"language\": null"),
            "other encoder" => Edited("\"language\"", $"\"encoderSha256\": \"{new string('0', 64)}\", \"language\""),
            "many" => ModelService.Zip(Enumerable.Range(0, 2000).Select(i => ($"{i:00000000}", Array.Empty<byte>()))),
            "broken data" => BrokenData(zip),
            "endless calibration" => WithCalibration("\"intercept\": -0.5", "\"intercept\": 1e999"),
            "huge calibration" => ModelService.Zip([.. files, (BundleFiles.Calibration, new byte[BundleFiles.MaxJsonBytes + 1])]),
            "no numbers" => WithoutNumbers(),
            _ => throw new UnreachableException(what),
        };

        byte[] Edited(string from, string to)
        {
            string card = Encoding.UTF8.GetString(files[0].Bytes);
            Assert.Contains(from, card, StringComparison.Ordinal);
            return ModelService.Zip([(files[0].Name, Encoding.UTF8.GetBytes(card.Replace(from, to, StringComparison.Ordinal))), files[1], files[2]]);
        }
    }

    // The first file's packed bytes, so that they cannot be unpacked.
    private static byte[] BrokenData(byte[] zip)
    {
        for (int i = 60; i < 100; i++)
        {
            zip[i] = 0xFF;
        }
        return zip;
    }

    // Signed as it should be, so that only what it says can be wrong.
    private static byte[] WithCalibration(string from, string to)
    {
        using var bundle = new SmallBundle("top-down", 97);
        string digest = bundle.Calibrate().Files[BundleFiles.Calibration], file = bundle.File(BundleFiles.Calibration), card = bundle.File(BundleFiles.Card);
        string calibration = File.ReadAllText(file);
        Assert.Contains(from, calibration, StringComparison.Ordinal);
        File.WriteAllText(file, calibration.Replace(from, to, StringComparison.Ordinal));
        File.WriteAllText(card, File.ReadAllText(card).Replace(digest, Sha256.OfFile(file), StringComparison.Ordinal));
        return ModelService.Zip(Directory.GetFiles(bundle.Folder).Select(path => (Path.GetFileName(path), File.ReadAllBytes(path))));
    }

    private static byte[] WithoutNumbers()
    {
        using var bundle = new SmallBundle("top-down", 98);
        using (torch.no_grad())
        using (Scalar none = float.NaN)
        {
            foreach (var (_, weight) in bundle.Decoder.named_parameters())
            {
                weight.fill_(none);
            }
        }
        string folder = bundle.File("nan");
        BundleWriter.Save(folder, SmallBundle.Describe(bundle.Decoder), SmallBundle.Words, bundle.Decoder);
        return ModelService.Zip(Directory.GetFiles(folder).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file))));
    }
}
