using System.Buffers.Binary;
using System.IO.Compression;
using NetVips;

namespace CaptionService.Api.Tests;

/// <summary>Photos to send: the samples, and some made for a purpose.</summary>
internal static class Photos
{
    public static readonly string[] SampleNames = ["astronaut", "cat", "coffee", "flower", "rocket", "temple"];

    public static byte[] Sample(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"));

    public static byte[] Cat => Sample("cat");

    public static byte[] Temple => Sample("temple");

    /// <summary>The cat as a camera held sideways stores it: pixels on their side, and a note to turn them.</summary>
    public static byte[] CatOnItsSide()
    {
        using Image side = OnItsSide(Cat);
        return side.JpegsaveBuffer();
    }

    /// <summary>A photo of the encoder's own size, upright and on its side with a note, without loss: the model sees the same pixels.</summary>
    public static (byte[] Upright, byte[] OnItsSide) CatWithoutLoss()
    {
        byte[] upright = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", "cat.png"));
        using Image side = OnItsSide(upright);
        return (upright, side.WebpsaveBuffer(lossless: true));
    }

    private static Image OnItsSide(byte[] photo)
    {
        using Image upright = Image.NewFromBuffer(photo);
        return upright.Rot270().Mutate(image => image.Set(GValue.GIntType, "orientation", 6));
    }

    /// <summary>The cat on a PNG with a transparent half.</summary>
    public static byte[] CatWithAlpha()
    {
        using Image cat = Image.NewFromBuffer(Cat);
        using Image alpha = (Image.Black(cat.Width / 2, cat.Height) + 255).Embed(0, 0, cat.Width, cat.Height).Cast(Enums.BandFormat.Uchar);
        return cat.Bandjoin(alpha).PngsaveBuffer();
    }

    /// <summary>A black PNG with one bit for each pixel, so that very little holds very much.</summary>
    public static byte[] BlackPng(int side)
    {
        using var png = new MemoryStream();
        png.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, side);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), side);
        header[8] = 1;  // bits; the rest, 0, is grey and not interlaced
        Chunk("IHDR"u8, header);
        using var data = new MemoryStream();
        using (var zlib = new ZLibStream(data, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            byte[] row = new byte[1 + (side + 7) / 8];
            for (int y = 0; y < side; y++)
            {
                zlib.Write(row);
            }
        }
        Chunk("IDAT"u8, data.ToArray());
        Chunk("IEND"u8, []);
        return png.ToArray();

        void Chunk(ReadOnlySpan<byte> type, ReadOnlySpan<byte> bytes)
        {
            Span<byte> word = stackalloc byte[4];
            BinaryPrimitives.WriteInt32BigEndian(word, bytes.Length);
            png.Write(word);
            byte[] body = [.. type, .. bytes];
            png.Write(body);
            BinaryPrimitives.WriteUInt32BigEndian(word, Crc(body));
            png.Write(word);
        }
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
            }
        }
        return ~crc;
    }
}
