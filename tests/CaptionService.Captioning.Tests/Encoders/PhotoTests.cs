using CaptionService.Captioning.Encoders;
using NetVips;
using Xunit;
using static CaptionService.Captioning.Tests.Encoders.PhotoFiles;

namespace CaptionService.Captioning.Tests.Encoders;

/// <summary>Every way a photo may be stored gives the same 224×224 pixels.</summary>
public class PhotoTests
{
    [Theory]
    [InlineData("astronaut")]
    [InlineData("cat")]
    [InlineData("coffee")]
    [InlineData("temple")]
    public void A_photo_of_the_encoders_size_keeps_every_pixel(string name)
    {
        byte[] png = Sample($"224/{name}.png");
        Assert.Equal(Image.NewFromBuffer(png).WriteToMemory<byte>(), Photo.Decode(png).Pixels.ToArray());
    }

    [Theory]
    [InlineData("astronaut")]
    [InlineData("cat")]
    [InlineData("coffee")]
    public void A_photo_looks_like_the_copy_that_another_program_stretched(string name) =>
        AssertClose(Photo.Decode(Sample($"224/{name}.png")).Pixels, Photo.Decode(Sample($"{name}.jpg")).Pixels, mean: 2.5);

    [Theory, MemberData(nameof(PhotoFiles.Formats), MemberType = typeof(PhotoFiles))]
    public void Every_format_gives_the_same_photo(string format)
    {
        Image cat = Cat();
        Photo photo = Photo.Decode(Save(cat, format));
        Assert.Equal((451, 300, Photo.Side * Photo.Side * 3), (photo.Width, photo.Height, photo.Pixels.Length));
        AssertClose(Photo.Decode(cat.PngsaveBuffer()).Pixels, photo.Pixels, mean: format == "gif" ? 6 : 2);
    }

    [Fact]
    public void A_large_photo_is_decoded_small_with_the_same_result()
    {
        Image large = Cat().Resize(4000 / 451.0, vscale: 3000 / 300.0).CopyMemory();
        byte[] jpeg = large.JpegsaveBuffer(q: 95);
        Photo whole = Photo.Decode(Image.NewFromBuffer(jpeg).PngsaveBuffer(compression: 1));
        Photo shrunk = Photo.Decode(jpeg);
        Assert.Equal((4000, 3000), (shrunk.Width, shrunk.Height));
        AssertClose(whole.Pixels, shrunk.Pixels, mean: 0.6, most: 8);
        foreach (double part in (double[])[0.1, 0.5, 0.99])
            AssertRejected("broken_photo", jpeg.AsMemory(0, (int)(jpeg.Length * part)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Every_orientation_is_turned_upright(int orientation)
    {
        foreach (Image upright in (Image[])[Image.NewFromBuffer(Sample("224/cat.png")), Cat()])
        {
            Image turned = orientation switch
            {
                2 => upright.FlipHor(),
                3 => upright.Rot180(),
                4 => upright.FlipVer(),
                5 => upright.Rot90().FlipHor(),
                6 => upright.Rot270(),
                7 => upright.Rot270().FlipHor(),
                8 => upright.Rot90(),
                _ => upright,
            };
            Image tagged = turned.Mutate(image => image.Set(GValue.GIntType, "orientation", orientation));
            Photo expected = Photo.Decode(upright.PngsaveBuffer());
            foreach (string format in (string[])["png", "lossless webp", "jpeg"])
            {
                Photo photo = Photo.Decode(Save(tagged, format));
                Assert.Equal((upright.Width, upright.Height), (photo.Width, photo.Height));
                if (upright.Width == Photo.Side && format != "jpeg")
                    Assert.Equal(expected.Pixels.ToArray(), photo.Pixels.ToArray());
                else
                    AssertClose(expected.Pixels, photo.Pixels, mean: format == "jpeg" ? 2 : 0.3);   // columns first rounds otherwise than rows first
            }
        }
    }

    [Theory]
    [InlineData(0, 255, 255, 255)]
    [InlineData(51, 244, 214, 208)]   // a fifth of (200, 50, 20), the rest white
    [InlineData(255, 200, 50, 20)]
    public void Transparency_becomes_white(int alpha, int red, int green, int blue)
    {
        AssertColour(Solid(200, 50, 20, alpha).PngsaveBuffer(), red, green, blue);
        AssertColour(Solid(200, 50, 20, alpha).WebpsaveBuffer(lossless: true, exact: true), red, green, blue);
        Image deep = (Solid(200, 50, 20, alpha) * 257).Cast(Enums.BandFormat.Ushort).Copy(interpretation: Enums.Interpretation.Rgb16);
        AssertColour(deep.PngsaveBuffer(), red, green, blue);
    }

    [Fact]
    public void A_transparent_gif_becomes_white() => AssertColour(Solid(200, 50, 20, 0).GifsaveBuffer(), 255, 255, 255);

    [Fact]
    public void Sixteen_bits_become_eight()
    {
        Image colour = (Solid(10, 128, 250) * 257).Cast(Enums.BandFormat.Ushort).Copy(interpretation: Enums.Interpretation.Rgb16);
        AssertColour(colour.PngsaveBuffer(), 10, 128, 250);
        Image grey = (Solid(90) * 257).Cast(Enums.BandFormat.Ushort).Copy(interpretation: Enums.Interpretation.Grey16);
        AssertColour(grey.PngsaveBuffer(), 90, 90, 90);
    }

    [Fact]
    public void Grey_becomes_three_equal_channels()
    {
        AssertColour(Solid(90).PngsaveBuffer(), 90, 90, 90);
        AssertColour(Solid(90).JpegsaveBuffer(q: 100), 90, 90, 90);
        AssertColour(Solid(90, 51).Copy(interpretation: Enums.Interpretation.Bw).PngsaveBuffer(), 222, 222, 222);
        AssertColour(Solid(255).PngsaveBuffer(bitdepth: 1), 255, 255, 255);
    }

    [Fact]
    public void A_palette_is_looked_up()
    {
        byte[] palette = Cat().PngsaveBuffer(palette: true);
        Assert.Equal(3, palette[25]);   // the colour type of IHDR
        AssertClose(Photo.Decode(Cat().PngsaveBuffer()).Pixels, Photo.Decode(palette).Pixels, mean: 6);
    }

    [Fact]
    public void Cmyk_becomes_rgb()
    {
        Image cmyk = Cat().IccTransform("cmyk", inputProfile: "srgb");
        byte[] jpeg = cmyk.JpegsaveBuffer(q: 95);
        byte[] bare = cmyk.JpegsaveBuffer(q: 95, keep: Enums.ForeignKeep.None);   // no profile: a general one is assumed
        Assert.Equal(4, Image.NewFromBuffer(bare).Bands);
        ReadOnlyMemory<byte> expected = Photo.Decode(Cat().PngsaveBuffer()).Pixels;
        AssertClose(expected, Photo.Decode(jpeg).Pixels, mean: 6);
        AssertClose(expected, Photo.Decode(bare).Pixels, mean: 6);
    }

    [Fact]
    public void A_colour_profile_is_applied()
    {
        Image wide = Cat().IccTransform("p3", inputProfile: "srgb");
        ReadOnlyMemory<byte> expected = Photo.Decode(Cat().PngsaveBuffer()).Pixels;
        Assert.True(MeanDifference(expected, Photo.Decode(wide.PngsaveBuffer(keep: Enums.ForeignKeep.None)).Pixels) > 3);
        AssertClose(expected, Photo.Decode(wide.PngsaveBuffer()).Pixels, mean: 1.5);
        AssertClose(expected, Photo.Decode(wide.JpegsaveBuffer(q: 95)).Pixels, mean: 2);
    }

    [Fact]
    public void A_broken_colour_profile_is_passed_over()
    {
        byte[] profile = Cat().IccTransform("p3", inputProfile: "srgb").Get("icc-profile-data") as byte[] ?? [];
        foreach (byte[] broken in (byte[][])[[1, 2, 3], profile[..(profile.Length / 2)], new byte[500]])
        {
            Image tagged = Cat().Mutate(image => image.Set(GValue.BlobType, "icc-profile-data", broken));
            AssertClose(Photo.Decode(Cat().JpegsaveBuffer(q: 95)).Pixels, Photo.Decode(tagged.JpegsaveBuffer(q: 95)).Pixels, mean: 1.5);
        }
        // A profile of another colour space than the picture's.
        Image grey = Solid(90).Mutate(image => image.Set(GValue.BlobType, "icc-profile-data", profile));
        AssertColour(grey.JpegsaveBuffer(q: 100), 90, 90, 90);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 5000)]
    [InlineData(5000, 1)]
    [InlineData(30_000, 3)]
    [InlineData(3, 30_000)]
    [InlineData(223, 225)]
    [InlineData(449, 447)]
    public void Any_shape_is_stretched_to_the_square(int width, int height)
    {
        Image solid = Solid(200, 50, 20).Embed(0, 0, width, height, extend: Enums.Extend.Copy);
        foreach (string format in (string[])["png", "interlaced png", "jpeg"])
        {
            Photo photo = Photo.Decode(Save(solid, format));
            Assert.Equal((width, height), (photo.Width, photo.Height));
            AssertColour(photo, 200, 50, 20);
        }
    }

    [Theory]
    [InlineData(8192, 6144)]       // telephones of "50 megapixels"
    [InlineData(12000, 9000)]      // of 108
    public void A_large_telephone_photo_is_read(int width, int height)
    {
        using Image large = Image.Black(width, height, bands: 3).Copy(interpretation: Enums.Interpretation.Srgb);
        Assert.Equal((width, height), (Photo.Decode(large.JpegsaveBuffer()).Width, height));
    }

    [Fact]
    public void Many_threads_decode_at_once()
    {
        string[] names = ["astronaut", "cat", "coffee", "flower", "rocket", "temple"];
        var expected = names.ToDictionary(name => name, name => Photo.Decode(Sample(name + ".jpg")).Pixels.ToArray());
        Parallel.For(0, 60, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            string name = names[i % names.Length];
            Assert.Equal(expected[name], Photo.Decode(Sample(name + ".jpg")).Pixels.ToArray());
            AssertRejected("broken_photo", Sample(name + ".jpg").AsMemory(0, 10_000));
        });
    }

    private static void AssertColour(byte[] photo, int red, int green, int blue) => AssertColour(Photo.Decode(photo), red, green, blue);

    private static void AssertColour(Photo photo, int red, int green, int blue)
    {
        int[] expected = [red, green, blue];
        byte[] pixels = photo.Pixels.ToArray();
        Assert.Equal(Photo.Side * Photo.Side * 3, pixels.Length);
        for (int i = 0; i < pixels.Length; i++)
            Assert.InRange(pixels[i], expected[i % 3] - 2, expected[i % 3] + 2);   // JPEG rounds
    }

    private static void AssertClose(ReadOnlyMemory<byte> expected, ReadOnlyMemory<byte> actual, double mean, int most = 255)
    {
        Assert.InRange(MeanDifference(expected, actual), 0, mean);
        Assert.InRange(Differences(expected, actual).Max(), 0, most);
    }

    private static double MeanDifference(ReadOnlyMemory<byte> a, ReadOnlyMemory<byte> b) => Differences(a, b).Average();

    private static IEnumerable<int> Differences(ReadOnlyMemory<byte> a, ReadOnlyMemory<byte> b) =>
        a.ToArray().Zip(b.ToArray(), (x, y) => Math.Abs(x - y));
}
