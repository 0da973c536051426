using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Which encoding a text file has: UTF-8 or UTF-16 where its bytes say so, else one of the code pages of the data set's
/// language, where exactly one of them makes sense of it. Guessing wrong would teach a model wrong words, so what is
/// uncertain is refused.
/// </summary>
internal static class TextEncodings
{
    private const int SampleBytes = 256 * 1024;     // bytes outside of ASCII, with their neighbours, that are judged
    private const double Plausible = 0.98;          // share of the characters outside of ASCII that must make sense

    // What the letters of Western European languages and the signs of typed text are; š, ž, Ÿ and the like are none of these languages'.
    private const string WesternLetters = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœ";
    private const string Signs = "“”‘’„‚«»‹›–—…•·°´€£§©®¿¡ªº \u00AD";

    /// <summary>An encoding, and what to tell people where it is an assumption.</summary>
    /// <param name="Encoding">Throws <see cref="DecoderFallbackException"/> on bytes that are none of its characters.</param>
    /// <param name="Assumed">Its name where the bytes do not say it, else null.</param>
    /// <param name="Certain">Whether no other encoding makes sense of the bytes.</param>
    public readonly record struct Detected(Encoding Encoding, string? Assumed, bool Certain);

    /// <summary>Detects the encoding of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="language">Language of the data set, which says what code pages are likely.</param>
    public static Detected Detect(string path, string language)
    {
        using FileStream file = File.OpenRead(path);
        Span<byte> head = stackalloc byte[512];
        head = head[..file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]) || head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]))
            return new(new UnicodeEncoding(bigEndian: head[0] == 0xFE, byteOrderMark: true, throwOnInvalidBytes: true), null, true);
        if (ZeroEveryOther(head) is { } bigEndian)
            return new(new UnicodeEncoding(bigEndian, byteOrderMark: false, throwOnInvalidBytes: true), "UTF-16", true);
        file.Position = 0;
        (bool utf8, byte[] sample) = Sample(file);
        if (utf8)
            return new(new UTF8Encoding(encoderShouldEmitUTF8Identifier: true, throwOnInvalidBytes: true), null, true);
        // The best two: the second must make less sense than the first.
        (Encoding Encoding, string Name, double Sense)[] ranked = [.. CodePages(language)
            .Select(page => (Encoding: Strict(page.Number), page.Name))
            .Select(page => (page.Encoding, page.Name, Sense(page.Encoding, sample)))
            .OrderByDescending(page => page.Item3)];
        bool certain = ranked[0].Sense >= Plausible && (ranked.Length == 1 || ranked[1].Sense < ranked[0].Sense - 0.02);
        return new(ranked[0].Encoding, ranked[0].Name, certain);
    }

    /// <summary>A code page that throws on what it cannot read or write.</summary>
    public static Encoding Strict(int page) => CodePagesEncodingProvider.Instance.GetEncoding(page, EncoderFallback.ExceptionFallback, DecoderFallback.ExceptionFallback)!;

    /// <summary>Whether every other byte is zero, as in UTF-16 without a byte order mark: true where the zeros come first.</summary>
    public static bool? ZeroEveryOther(ReadOnlySpan<byte> head)
    {
        int even = 0, odd = 0, pairs = head.Length / 2;
        for (int i = 0; i + 1 < head.Length; i += 2)
        {
            even += head[i] == 0 ? 1 : 0;
            odd += head[i + 1] == 0 ? 1 : 0;
        }
        return pairs < 8 ? null : even == 0 && odd > 0.7 * pairs ? false : odd == 0 && even > 0.7 * pairs ? true : null;
    }

    // Whether the file is UTF-8 to its end; and its lines with bytes outside of ASCII, as many as fit.
    private static (bool Utf8, byte[] Sample) Sample(FileStream file)
    {
        Decoder utf8 = new UTF8Encoding(false, throwOnInvalidBytes: true).GetDecoder();
        bool valid = true;
        var sample = new MemoryStream();
        var line = new MemoryStream();
        byte[] buffer = new byte[64 * 1024];
        char[] chars = new char[buffer.Length + 4];
        bool ascii = true;
        for (int read; (read = file.Read(buffer)) > 0;)
        {
            if (valid)
            {
                try
                {
                    utf8.GetChars(buffer.AsSpan(0, read), chars, flush: false);
                }
                catch (DecoderFallbackException)
                {
                    valid = false;
                }
            }
            for (int i = 0; i < read && sample.Length < SampleBytes; i++)
            {
                line.WriteByte(buffer[i]);
                ascii &= buffer[i] < 0x80;
                if (buffer[i] == '\n' || line.Length > 4096 && buffer[i] < 0x80)
                    EndLine();
            }
        }
        EndLine();
        if (valid)
        {
            try
            {
                utf8.GetChars([], chars, flush: true);
            }
            catch (DecoderFallbackException)
            {
                valid = false;
            }
        }
        return (valid, sample.ToArray());

        void EndLine()
        {
            if (!ascii)
                line.WriteTo(sample);
            line.SetLength(0);
            ascii = true;
        }
    }

    private static (int Number, string Name)[] CodePages(string language) => language.Split('-', '_')[0] switch
    {
        "zh" => [(54936, "GB18030 (Chinese)"), (950, "Big5 (Chinese)")],
        "ja" => [(932, "Shift-JIS (Japanese)"), (51932, "EUC-JP (Japanese)")],
        "ko" => [(949, "code page 949 (Korean)")],
        "ru" or "uk" or "be" or "bg" or "sr" or "mk" => [(1251, "Windows-1251 (Cyrillic)"), (20866, "KOI8-R (Cyrillic)")],
        "pl" or "cs" or "sk" or "hu" or "sl" or "hr" or "ro" => [(1250, "Windows-1250 (Central European)"), (28592, "ISO 8859-2 (Central European)")],
        "el" => [(1253, "Windows-1253 (Greek)")],
        "tr" => [(1254, "Windows-1254 (Turkish)")],
        "he" => [(1255, "Windows-1255 (Hebrew)")],
        "ar" or "fa" => [(1256, "Windows-1256 (Arabic)")],
        "vi" => [(1258, "Windows-1258 (Vietnamese)")],
        "th" => [(874, "Windows-874 (Thai)")],
        _ => [(1252, "Windows-1252 (Western European)"), (10000, "Mac Roman")],
    };

    /// <summary>Which share of the characters outside of ASCII are ones that the encoding's languages write; 0 where bytes are none of its characters.</summary>
    private static double Sense(Encoding encoding, byte[] sample)
    {
        string text;
        try
        {
            text = encoding.GetString(sample);
        }
        catch (DecoderFallbackException)
        {
            // The last character may be cut; anything before it is wrong.
            return 0;
        }
        int foreign = 0, sensible = 0;
        char before = ' ';
        foreach (char c in text)
        {
            if (c >= 0x80)
            {
                foreign++;
                sensible += Signs.Contains(c, StringComparison.Ordinal) || IsLetter(c, before, encoding) ? 1 : 0;
            }
            before = c;
        }
        return foreign == 0 ? 1 : (double)sensible / foreign;
    }

    private static bool IsLetter(char c, char before, Encoding encoding)
    {
        switch (encoding.CodePage)
        {
            case 1252 or 10000:
                return WesternLetters.Contains(c, StringComparison.Ordinal);
            case 54936:     // the frequent half of GB 2312, its signs, and full-width forms
                byte[] gb = encoding.GetBytes([c]);
                return gb.Length == 2 && gb[0] is >= 0xA1 and <= 0xA3 or >= 0xB0 and <= 0xD7;
            case 950:       // the frequent half of Big5 and its signs
                return encoding.GetBytes([c]) is [>= 0xA1 and <= 0xA3 or >= 0xA4 and <= 0xC6, _];
            case 932 or 51932:      // kana and Han; half-width kana are what the wrong one of the two shows
                return c is >= '\u3000' and <= '\u30FF' or >= '\u4E00' and <= '\u9FFF' or >= '\uFF01' and <= '\uFF5E';
            case 1251 or 20866:     // the two encodings swap capitals and small letters, and a capital stands at the start of a word
                return c is >= 'А' and <= 'Я' && !char.IsLetter(before) || c is >= 'а' and <= 'я' or 'ё' or 'і' or 'ї' or 'є' or 'ґ' or 'ў' or 'ј' or 'љ' or 'њ' or 'ћ' or 'ђ' or 'џ';
            case 1250 or 28592:
                return char.IsLetter(c) && c is not ('¤' or 'ˇ');
            default:
                return char.IsLetter(c) || char.GetUnicodeCategory(c) == System.Globalization.UnicodeCategory.NonSpacingMark;
        }
    }
}
