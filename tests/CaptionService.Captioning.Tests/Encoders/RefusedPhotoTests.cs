using System.Buffers.Binary;
using System.Text;
using CaptionService.Captioning.Encoders;
using NetVips;
using CaptionService.Tests;
using Xunit;
using static CaptionService.Captioning.Tests.Encoders.PhotoFiles;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>What is no photo, is broken or too large, and what is told of it.</summary>
public class RefusedPhotoTests
{
    [Theory, MemberData(nameof(PhotoFiles.Formats), MemberType = typeof(PhotoFiles))]
    public void A_photo_cut_short_is_broken(string format)
    {
        byte[] photo = Save(Cat(), format);
        // Of a JPEG the last eight rows may be missing, like its end marker.
        foreach (double part in (double[])[0.01, 0.1, 0.3, 0.5, 0.7, 0.9, format == "jpeg" ? 0.97 : 0.99])
            Assert.True(Record.Exception(() => Photo.Decode(photo.AsMemory(0, (int)(photo.Length * part)))) is PhotoRejectedException { Code: "broken_photo" }, $"The first {part:P0} was taken for a photo.");
    }

    [Fact]
    public void A_JPEG_without_its_end_marker_is_whole()
    {
        byte[] photo = Sample("cat.jpg");
        Assert.True(photo.AsSpan().EndsWith((ReadOnlySpan<byte>)[0xFF, 0xD9]));
        Assert.Equal(Photo.Decode(photo).Pixels.ToArray(), Photo.Decode(photo.AsMemory(0, photo.Length - 2)).Pixels.ToArray());
        AssertRejected("broken_photo", photo.AsMemory(0, photo.Length - 40));
    }

    [Theory, MemberData(nameof(PhotoFiles.Formats), MemberType = typeof(PhotoFiles))]
    public void No_damage_escapes_the_named_error(string format)
    {
        byte[] original = Save(Cat().Resize(0.1), format);
        var random = new Random(20_240_603);
        int rejected = 0;
        for (int i = 0; i < 400; i++)
        {
            try
            {
                Assert.Equal(Photo.Side * Photo.Side * 3, Photo.Decode(Mutations.Of(original, [0, 1, 255, 254], random)).Pixels.Length);
            }
            catch (PhotoRejectedException)
            {
                rejected++;
            }
        }
        Assert.InRange(rejected, 1, 400);
    }

    [Fact]
    public void No_bytes_are_empty() => AssertRejected("empty", default);

    [Fact]
    public void A_long_file_is_refused_unread()
    {
        PhotoRejectedException refused = AssertRejected("too_many_bytes", new byte[PhotoLimits.MaxBytes + 1]);
        Assert.Equal((PhotoLimits.MaxBytes + 1, PhotoLimits.MaxBytes), (refused.Found, refused.Limit));
        Assert.Contains("20000001 bytes", refused.Message);
        Assert.Contains("20000000", refused.Message);
    }

    [Theory]
    [InlineData("%PDF-1.7\n", "a PDF")]
    [InlineData("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>", "SVG")]
    [InlineData("<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "SVG")]
    [InlineData("II*\0\u0008\0\0\0", "a TIFF")]
    [InlineData("BM\0\0\0\0", "a BMP")]
    [InlineData("\0\0\0\u0018ftypheic\0\0\0\0mif1heic", "a HEIC")]
    [InlineData("\0\0\0\u0018ftypavif\0\0\0\0mif1avif", "an AVIF")]
    [InlineData("\0\0\0\u0018ftypisom\0\0\0\0", "a video")]
    [InlineData("RIFF\0\0\0\0WAVE", "something else")]
    [InlineData("a cat on a mat", "something else")]
    [InlineData("\u0001", "something else")]
    public void What_is_no_photo_is_named(string bytes, string what) =>
        Assert.Contains(what, AssertRejected("not_a_photo", Encoding.Latin1.GetBytes(bytes)).Message);

    [Fact]
    public void Decoders_of_other_formats_are_blocked()
    {
        Photo.Decode(Sample("cat.jpg"));
        Assert.Throws<VipsException>(() => Image.NewFromBuffer(Cat().TiffsaveBuffer()));
        Assert.Throws<VipsException>(() => Image.NewFromBuffer("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"));
    }

    [Fact]
    public void A_pixel_bomb_is_refused_from_its_header()
    {
        byte[] bomb = Png(width: 30_000, height: 30_000, bits: 1, colourType: 0, interlaced: false, rows: new byte[30_000 * (30_000 / 8 + 1)]);
        Assert.InRange(bomb.Length, 50_000, 200_000);
        PhotoRejectedException refused = AssertRejected("too_many_pixels", bomb);
        Assert.Equal((900_000_000, PhotoLimits.MaxPixels), (refused.Found, refused.Limit));
    }

    // The headers alone: had a pixel been asked for, these would be broken photos.
    [Theory]
    [InlineData(30_001, 1, 8, false, "too_many_pixels")]
    [InlineData(1, 30_001, 8, false, "too_many_pixels")]
    [InlineData(10_000, 12_001, 8, false, "too_many_pixels")]
    [InlineData(10_000, 12_000, 8, false, "broken_photo")]
    [InlineData(5_010, 5_000, 16, true, "too_much_memory")]
    [InlineData(5_000, 5_000, 16, true, "broken_photo")]
    [InlineData(5_010, 5_000, 16, false, "broken_photo")]
    public void Limits_hold_for_png(int width, int height, byte bits, bool interlaced, string code) =>
        AssertRejected(code, Png(width, height, bits, colourType: 6, interlaced, rows: [0]));

    [Theory]
    [InlineData("jpeg", 10_900, 10_900, null)]
    [InlineData("jpeg", 11_000, 11_000, "too_many_pixels")]
    [InlineData("progressive jpeg", 5_700, 5_700, null)]
    [InlineData("progressive jpeg", 5_800, 5_800, "too_much_memory")]
    public void Limits_hold_for_jpeg(string format, ushort width, ushort height, string? code)
    {
        byte[] jpeg = Save(Cat(), format);
        int frame = jpeg.AsSpan().IndexOf([(byte)0xFF, format == "jpeg" ? (byte)0xC0 : (byte)0xC2]);
        BinaryPrimitives.WriteUInt16BigEndian(jpeg.AsSpan(frame + 5), height);
        BinaryPrimitives.WriteUInt16BigEndian(jpeg.AsSpan(frame + 7), width);
        if (code is null)
            Photo.Decode(jpeg);   // what an ended JPEG leaves out is grey
        else
            AssertRejected(code, jpeg);
    }
}
