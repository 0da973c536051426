using System.Text;
using CaptionService.Captioning.Encoders;

namespace CaptionService.Api.Datasets;

/// <summary>What the first bytes of a file say it is.</summary>
internal enum RawKind
{
    /// <summary>JPEG, PNG, WebP or GIF by its signature; the inspection decodes it.</summary>
    Photo,

    /// <summary>A photo, or what bears a photo's name, of a format that is not read.</summary>
    OtherPhoto,

    /// <summary>Text: captions, a list of names, or something else.</summary>
    Text,

    /// <summary>A NumPy array.</summary>
    Array,

    /// <summary>Zip, tar or gzip.</summary>
    Archive,

    /// <summary>An archive of a kind that is not read.</summary>
    OtherArchive,

    /// <summary>Anything else, and what has no bytes.</summary>
    Other,
}

/// <summary>One file as it was sent.</summary>
/// <param name="Name">Its path in the archive, parts joined by '/'. Never a path on this machine.</param>
/// <param name="Path">Where its bytes are.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Owned">Whether it may be moved from there.</param>
internal sealed record RawFile(string Name, string Path, RawKind Kind, bool Owned)
{
    /// <summary>How its text is encoded.</summary>
    public Encoding Encoding { get; init; } = Encoding.UTF8;

    /// <summary>The last part of its name.</summary>
    public string BaseName => Name[(Name.LastIndexOf('/') + 1)..];

    /// <summary>Folder of its name; empty at the top.</summary>
    public string Folder => Name[..Math.Max(0, Name.LastIndexOf('/'))];

    /// <summary>Its text in UTF-8, as readers of JSON take it.</summary>
    public Stream OpenUtf8()
    {
        FileStream file = File.OpenRead(Path);
        return Encoding is UTF8Encoding ? file : Encoding.CreateTranscodingStream(file, Encoding, Encoding.UTF8);
    }
}

/// <summary>All that was sent, and what is to be said of what was not taken.</summary>
internal sealed class RawFiles
{
    public List<RawFile> Files { get; } = [];

    /// <summary>Names of files that are neither photos nor captions.</summary>
    public List<string> Ignored { get; } = [];

    /// <summary>Names of photos of a format that is not read, and the format.</summary>
    public List<(string Name, string Format)> Unread { get; } = [];

    /// <summary>Names of archives inside archives.</summary>
    public List<string> Nested { get; } = [];

    /// <summary>Names that came twice; the first was taken.</summary>
    public List<string> Repeated { get; } = [];

    /// <summary>Links in an imported folder.</summary>
    public List<string> Links { get; } = [];

    /// <summary>What was not opened or not read, as the end of a message: where nothing fits, it is the likeliest reason.</summary>
    public string NotOpened =>
        (Nested.Count > 0 ? $" '{Nested[0].Shortened(120)}' is an archive inside the archive and was not opened." : "")
        + (Unread.Count > 0 ? $" {ShortText.Count(Unread.Count, "file")} cannot be read as a photo: '{Unread[0].Name.Shortened(120)}' is {Unread[0].Format}. JPEG, PNG, WebP and GIF are read." : "");

    /// <summary>Which files are wanted, by name and kind; the others are only noted. Default: what a data set is made of.</summary>
    public Func<string, RawKind, bool> Wants { get; init; } = (_, kind) => kind is RawKind.Photo or RawKind.Text or RawKind.Array;

    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    /// <summary>Takes a file's name: false when another file has it.</summary>
    public bool Claim(string name)
    {
        if (_names.Add(name))
            return true;
        Repeated.Add(name);
        return false;
    }

    /// <summary>Bytes that tell the kind.</summary>
    public const int HeadBytes = 512;

    /// <summary>What a file is, by its first bytes.</summary>
    public static RawKind KindOf(ReadOnlySpan<byte> head)
    {
        if (head.IsEmpty)
            return RawKind.Other;
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) || head.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G'])
            || head.StartsWith("GIF8"u8) || head.Length >= 12 && head.StartsWith("RIFF"u8) && head[8..12].SequenceEqual("WEBP"u8))
        {
            return RawKind.Photo;
        }
        if (head[0] == 0x93 && head[1..].StartsWith("NUMPY"u8))
            return RawKind.Array;
        if (head.StartsWith("PK\u0003\u0004"u8) || head.StartsWith("PK\u0005\u0006"u8) || head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])
            || head.Length >= 262 && head[257..262].SequenceEqual("ustar"u8))
        {
            return RawKind.Archive;
        }
        if (head.StartsWith((ReadOnlySpan<byte>)[(byte)'7', (byte)'z', 0xBC, 0xAF]) || head.StartsWith("Rar!"u8) || head.StartsWith("BZh"u8)
            || head.StartsWith((ReadOnlySpan<byte>)[0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z']) || head.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD]))
        {
            return RawKind.OtherArchive;
        }
        bool utf16 = head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]) || head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]) || TextEncodings.ZeroEveryOther(head) is not null;
        return utf16 || head.IndexOfAnyInRange((byte)0, (byte)8) < 0 ? RawKind.Text
            : Photo.FormatOf(head) == Photo.OtherFormat ? RawKind.Other : RawKind.OtherPhoto;
    }

    /// <summary>Takes note of a file that is not kept.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="head">Its first bytes.</param>
    public void Leave(string name, RawKind kind, ReadOnlySpan<byte> head)
    {
        switch (kind)
        {
            case RawKind.OtherPhoto:
                Unread.Add((name, Photo.FormatOf(head)));
                break;
            case RawKind.Other:
                Ignored.Add(name);
                break;
            default:
                Nested.Add(name);
                break;
        }
    }

    /// <summary>The first bytes of a file on disk.</summary>
    public static byte[] Head(string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] head = new byte[HeadBytes];
        return head[..file.ReadAtLeast(head, HeadBytes, throwOnEndOfStream: false)];
    }

    /// <summary>What a file on disk is.</summary>
    public static RawKind KindOf(string path) => KindOf(Head(path));

    /// <summary>
    /// A name from an archive as a relative path. Refused: what would lead out of the folder it is unpacked in. (Nothing is
    /// ever unpacked under a name from outside; but who sends this means harm, or has a broken program.)
    /// </summary>
    /// <exception cref="ProblemException">The name leads elsewhere.</exception>
    public static string SafeName(string name)
    {
        string[] parts = [.. name.Replace('\\', '/').Split('/').Where(part => part is not ("" or "."))];
        bool absolute = name.StartsWith('/') || name.StartsWith('\\') || name.Length >= 2 && name[1] == ':' && char.IsAsciiLetter(name[0]);
        return !absolute && !parts.Contains("..") && !name.Contains('\0', StringComparison.Ordinal)
            ? string.Join('/', parts.Select(ShortText.Printable))
            : throw new ProblemException(ProblemTable.UnsafeArchive, $"The name '{name.Quoted()}' leads out of the archive.");
    }

    /// <summary>What systems leave in archives beside the files: never wanted, never worth a word.</summary>
    public static bool IsDebris(string name) =>
        name.Split('/')[..^1].Any(folder => folder is "__MACOSX" or ".ipynb_checkpoints" or ".git" or "@eaDir") || name[(name.LastIndexOf('/') + 1)..] is ".DS_Store" or "Thumbs.db" or "desktop.ini"
        || name[(name.LastIndexOf('/') + 1)..].StartsWith("._", StringComparison.Ordinal);
}
