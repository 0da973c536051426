using System.Security.Cryptography;

namespace CaptionService.Captioning.Files;

/// <summary>SHA-256 in lower-case hexadecimal.</summary>
public static class Sha256
{
    /// <summary>The digest of some bytes.</summary>
    public static string Of(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>The digest of a file, read in blocks.</summary>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public static string OfFile(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }
}
