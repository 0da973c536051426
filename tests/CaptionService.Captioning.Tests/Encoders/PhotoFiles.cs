using System.Buffers.Binary;
using System.IO.Compression;
using CaptionService.Captioning.Encoders;
using NetVips;
using Xunit;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>Photos in every format, and headers that lie.</summary>
internal static class PhotoFiles
{
    public static TheoryData<string> Formats => ["jpeg", "progressive jpeg", "png", "interlaced png", "webp", "lossless webp", "gif"];

    public static byte[] Sample(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name));

    public static Image Cat() => Image.NewFromBuffer(Sample("cat.jpg"));

    public static byte[] Save(Image image, string format) => format switch
    {
        "jpeg" => image.JpegsaveBuffer(q: 95),
        "progressive jpeg" => image.JpegsaveBuffer(q: 95, interlace: true),
        "png" => image.PngsaveBuffer(),
        "interlaced png" => image.PngsaveBuffer(interlace: true),
        "webp" => image.WebpsaveBuffer(q: 95),
        "lossless webp" => image.WebpsaveBuffer(lossless: true),
        "gif" => image.GifsaveBuffer(),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };

    /// <summary>9×9 pixels of one colour: one channel is grey, three RGB, four RGB and alpha.</summary>
    public static Image Solid(params int[] channels) =>
        (Image.Black(9, 9) + channels.Select(channel => (double)channel).ToArray()).Cast(Enums.BandFormat.Uchar)
            .Copy(interpretation: channels.Length < 3 ? Enums.Interpretation.Bw : Enums.Interpretation.Srgb);

    /// <summary>A PNG by hand: https://www.w3.org/TR/png/.</summary>
    public static byte[] Png(int width, int height, byte bits, byte colourType, bool interlaced, byte[] rows)
    {
        var png = new MemoryStream();
        png.Write([0x89, .. "PNG"u8, 13, 10, 26, 10]);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9], header[12]) = (bits, colourType, interlaced ? (byte)1 : (byte)0);
        var data = new MemoryStream();
        using (var zlib = new ZLibStream(data, CompressionLevel.Optimal, leaveOpen: true))
            zlib.Write(rows);
        Chunk("IHDR"u8, header);
        Chunk("IDAT"u8, data.ToArray());
        Chunk("IEND"u8, []);
        return png.ToArray();

        void Chunk(ReadOnlySpan<byte> type, byte[] content)
        {
            Span<byte> number = stackalloc byte[4];
            BinaryPrimitives.WriteInt32BigEndian(number, content.Length);
            png.Write(number);
            png.Write(type);
            png.Write(content);
            BinaryPrimitives.WriteUInt32BigEndian(number, Crc([.. type, .. content]));
            png.Write(number);
        }
    }

    private static uint Crc(byte[] bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ (0xEDB88320 & (0 - (crc & 1)));
        }
        return ~crc;
    }

    public static PhotoRejectedException AssertRejected(string code, ReadOnlyMemory<byte> bytes)
    {
        var rejected = Assert.Throws<PhotoRejectedException>(() => Photo.Decode(bytes));
        Assert.Equal(code, rejected.Code);
        return rejected;
    }
}
