using NetVips;

namespace CaptionService.Captioning.Encoders;

/// <summary>What a photo may cost. All are checked from the header, before a pixel is decoded.</summary>
public static class PhotoLimits
{
    /// <summary>Longest file, in bytes.</summary>
    public const long MaxBytes = 20_000_000;

    /// <summary>
    /// Most pixels, width × height: what a telephone of 108 megapixels takes. It bounds the time (a PNG of this size takes a second);
    /// memory is bounded by <see cref="MaxDecoderBytes"/>, and a JPEG is decoded at a fraction of its size.
    /// </summary>
    public const long MaxPixels = 120_000_000;

    /// <summary>Longest side, in pixels.</summary>
    public const long MaxSide = 30_000;

    /// <summary>
    /// Most memory a decoder may take, in bytes, where the format makes it hold the whole picture: progressive JPEG
    /// (width × height × components × 2, so 33 megapixels in colour), interlaced PNG, WebP and GIF.
    /// </summary>
    public const long MaxDecoderBytes = 200_000_000;
}

/// <summary>Bytes are not a photo that can be captioned. The message can be shown to who sent them.</summary>
public sealed class PhotoRejectedException : Exception
{
    internal PhotoRejectedException(string code, string message, Exception? inner = null) : base(message, inner) => Code = code;

    internal PhotoRejectedException(string code, string what, long found, long limit)
        : this(code, $"The photo has {found} {what}; at most {limit} are accepted.", (long?)found, limit) { }

    internal PhotoRejectedException(string code, string message, long? found, long? limit) : this(code, message) => (Found, Limit) = (found, limit);

    /// <summary>Stable: <c>empty</c>, <c>not_a_photo</c>, <c>broken_photo</c>, <c>too_many_bytes</c>, <c>too_many_pixels</c>,
    /// <c>too_much_memory</c>.</summary>
    public string Code { get; }

    /// <summary>What the photo has of what is limited; null where nothing is.</summary>
    public long? Found { get; }

    /// <summary>The limit, one of <see cref="PhotoLimits"/>; null where there is none.</summary>
    public long? Limit { get; }
}

/// <summary>
/// A photo as the encoder reads it: upright, in sRGB, stretched (not cropped) to a square, as the captioning literature
/// does with VGG. Immutable. Where one exists, its bytes were valid and within <see cref="PhotoLimits"/>.
/// </summary>
public sealed class Photo
{
    /// <summary>Side of the square, in pixels.</summary>
    public const int Side = 224;

    static Photo()
    {
        // The only decoders that bytes from outside can reach: none of them opens files or runs what it reads.
        Operation.Block("VipsForeignLoad", true);
        foreach (string loader in (string[])["VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp", "VipsForeignLoadNsgif"])
            Operation.Block(loader, false);
        NetVips.NetVips.BlockUntrusted = true;
        NetVips.NetVips.Concurrency = 1;   // requests run side by side; threads within one would only compete
        Cache.Max = 0;   // no photo comes twice, and none is kept
        // What is wrong with a photo is in the exception; as a warning, strangers would write to the server's stderr.
        Log.SetLogHandler("VIPS", Enums.LogLevelFlags.Warning, static (_, _, _) => { });
    }

    internal Photo(int width, int height, byte[] pixels) => (Width, Height, Pixels) = (width, height, pixels);

    /// <summary>Width of the photo that was sent, in pixels, as a person sees it.</summary>
    public int Width { get; }

    /// <summary>Height of the photo that was sent, in pixels, as a person sees it.</summary>
    public int Height { get; }

    /// <summary>Side × Side × 3 bytes: rows from the top, pixels from the left, R G B of each.</summary>
    public ReadOnlyMemory<byte> Pixels { get; }

    /// <summary>
    /// Decodes JPEG, PNG, WebP or GIF (its first frame); the bytes decide which. Transparency becomes white. A photo that is
    /// 224×224, upright, opaque 8-bit RGB without a colour profile keeps every pixel. Thread-safe; about 5 ms for a JPEG
    /// of 500 pixels across, 40 ms for one of 12 megapixels.
    /// </summary>
    /// <exception cref="PhotoRejectedException">The bytes are not a photo, are damaged or incomplete, or exceed a limit.</exception>
    public static Photo Decode(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.IsEmpty)
            throw new PhotoRejectedException("empty", "The photo has no bytes.");
        if (bytes.Length > PhotoLimits.MaxBytes)
            throw new PhotoRejectedException("too_many_bytes", "bytes", bytes.Length, PhotoLimits.MaxBytes);
        string format = FormatOf(bytes.Span);
        if (format is not ("JPEG" or "PNG" or "WebP" or "GIF"))
            throw new PhotoRejectedException("not_a_photo", $"JPEG, PNG, WebP and GIF are accepted; this is {format}.");
        try
        {
            return Decode(bytes.Span, format, Enums.FailOn.Error);
        }
        catch (VipsException e)
        {
            return WithEndMarker(bytes.Span, format)
                ?? throw new PhotoRejectedException("broken_photo", $"The {format} is damaged or incomplete.", e);
        }
    }

    private static Photo Decode(ReadOnlySpan<byte> bytes, string format, Enums.FailOn failOn)
    {
        using Image header = Open(bytes, failOn);
        CheckLimits(header, format);
        // libvips looks for warnings before each strip of rows: at full size no more than the last eight escape it.
        using Image image = format == "JPEG" && failOn != Enums.FailOn.Warning && JpegShrink(header) is > 1 and int shrink
            ? Open(bytes, failOn, new VOption { { "shrink", shrink } })
            : header;
        // Turned at the end: a square, unlike the photo, is already in memory, and stretching it first gives the same.
        bool onItsSide = header.Contains("orientation") && (int)header.Get("orientation") is >= 5 and <= 8;
        return new Photo(
            onItsSide ? header.Height : header.Width,
            onItsSide ? header.Width : header.Height,
            Square(image));
    }

    /// <summary>
    /// Some cameras and tools leave a JPEG's end marker out; every pixel is there. With the marker such a file decodes without
    /// a warning, while one whose pixels are cut off gives one, unless no more than its last eight rows are missing.
    /// </summary>
    private static Photo? WithEndMarker(ReadOnlySpan<byte> bytes, string format)
    {
        if (format != "JPEG" || bytes.EndsWith((ReadOnlySpan<byte>)[0xFF, 0xD9]))
            return null;
        byte[] whole = [.. bytes, 0xFF, 0xD9];
        try
        {
            return Decode(whole, format, Enums.FailOn.Warning);
        }
        catch (VipsException)
        {
            return null;
        }
    }

    // Reads the header only; the pixels are decoded as they are asked for, from top to bottom.
    private static Image Open(ReadOnlySpan<byte> bytes, Enums.FailOn failOn, VOption? options = null) =>
        Image.NewFromBuffer(bytes, access: Enums.Access.Sequential, failOn: failOn, kwargs: options);

    private static void CheckLimits(Image header, string format)
    {
        long width = header.Width, height = header.Height;
        if (Math.Max(width, height) > PhotoLimits.MaxSide)
            throw new PhotoRejectedException("too_many_pixels", "pixels on its longest side", Math.Max(width, height), PhotoLimits.MaxSide);
        if (width * height > PhotoLimits.MaxPixels)
            throw new PhotoRejectedException("too_many_pixels", "pixels", width * height, PhotoLimits.MaxPixels);
        bool interlaced = header.Contains("interlaced");
        long bytesPerPixel = format switch
        {
            "JPEG" when interlaced => header.Bands * 2,   // a 16-bit coefficient of each
            "PNG" when interlaced => header.Bands * (header.Format == Enums.BandFormat.Ushort ? 2 : 1),
            "WebP" or "GIF" => 4,   // RGBA
            _ => 0,   // a few rows
        };
        if (width * height * bytesPerPixel > PhotoLimits.MaxDecoderBytes)
            throw new PhotoRejectedException("too_much_memory", "bytes to decode in one piece", width * height * bytesPerPixel, PhotoLimits.MaxDecoderBytes);
    }

    // A JPEG's blocks can be decoded at 1/2, 1/4 or 1/8 of their size, several times faster. At least twice the square
    // is left, so that the filter below decides the result and not the block average.
    private static int JpegShrink(Image header) =>
        (Math.Min(header.Width, header.Height) / (2 * Side)) switch { >= 8 => 8, >= 4 => 4, >= 2 => 2, _ => 1 };

    private static byte[] Square(Image image)
    {
        double white = image.Format == Enums.BandFormat.Ushort ? ushort.MaxValue : byte.MaxValue;
        using Image opaque = image.HasAlpha() ? image.Flatten(background: [white]) : image.Copy();
        // Bilinear with antialiasing, torchvision's default: of libvips' kernels the nearest to the pixels the models were trained on.
        using Image stretched = opaque.Resize((double)Side / image.Width, kernel: Enums.Kernel.Linear, vscale: (double)Side / image.Height);
        using Image square = stretched.CopyMemory();   // the photo is decoded here, and here damage shows
        using Image srgb = ToSrgb(square);
        using Image upright = srgb.Autorot();
        return upright.WriteToMemory<byte>();
    }

    private static Image ToSrgb(Image image)
    {
        if (image.Contains("icc-profile-data"))
        {
            try
            {
                using Image converted = image.IccTransform("srgb", embedded: true);
                return converted.CopyMemory();
            }
            catch (VipsException)
            {
                // A broken profile is no reason to refuse what can be seen without it.
            }
        }
        return image.Colourspace(Enums.Interpretation.Srgb);
    }

    /// <summary><see cref="FormatOf"/> of bytes that it does not know.</summary>
    public const string OtherFormat = "something else";

    /// <summary>The format that a file's first bytes name, as a message says it: "JPEG", "a HEIC"; those that are not read are named
    /// too.</summary>
    /// <param name="bytes">The first 512 bytes of a file, or all of them.</param>
    public static string FormatOf(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> brand = bytes.Length >= 12 ? bytes[8..12] : default;
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]))
            return "JPEG";
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]))
            return "PNG";
        if (bytes.StartsWith("RIFF"u8) && brand.SequenceEqual("WEBP"u8))
            return "WebP";
        if (bytes.StartsWith("GIF87a"u8) || bytes.StartsWith("GIF89a"u8))
            return "GIF";
        if (bytes.StartsWith("%PDF"u8))
            return "a PDF";
        if (bytes.StartsWith("<svg"u8) || bytes.StartsWith("<?xml"u8))
            return "an SVG or another XML document";
        if (bytes.StartsWith("II*\0"u8) || bytes.StartsWith("MM\0*"u8))
            return "a TIFF";
        if (bytes.StartsWith("BM"u8))
            return "a BMP";
        if (bytes.Length >= 12 && bytes[4..8].SequenceEqual("ftyp"u8))
            return brand.StartsWith("avi"u8) ? "an AVIF" : brand.StartsWith("he"u8) || brand.SequenceEqual("mif1"u8) ? "a HEIC" : "a video";
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x0A]) || bytes.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', (byte)' ']))
            return "a JPEG XL";
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'j', (byte)'P', (byte)' ', (byte)' ']))
            return "a JPEG 2000";
        if (bytes.TrimStart(" \t\r\n"u8) is { Length: > 5 } text && (StartsWithIgnoreCase(text, "<!doctype html"u8) || StartsWithIgnoreCase(text, "<html"u8)))
            return "an HTML page";
        return OtherFormat;

        static bool StartsWithIgnoreCase(ReadOnlySpan<byte> text, ReadOnlySpan<byte> start) =>
            text.Length >= start.Length && System.Text.Ascii.EqualsIgnoreCase(text[..start.Length], start);
    }
}
