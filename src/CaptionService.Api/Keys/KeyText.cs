using System.Security.Cryptography;
using System.Text;

namespace CaptionService.Api.Keys;

/// <summary>The text of keys: <c>cs_ID_SECRET</c>. The id finds the row, the secret of 200 random bits is what nobody guesses.</summary>
internal static class KeyText
{
    private const string Prefix = "cs_";
    private const int SecretLength = 40;
    private const int SaltBytes = 16;
    private const string Alphabet = "abcdefghijklmnopqrstuvwxyz234567";

    /// <summary>Stands in for the hash of a key that does not exist, so that it takes as long to refuse as a wrong one.</summary>
    public static readonly string Decoy = Hash("");

    /// <summary>A new text for an id.</summary>
    public static string New(string id) => $"{PrefixOf(id)}_{RandomNumberGenerator.GetString(Alphabet, SecretLength)}";

    /// <summary>What of a key may be shown.</summary>
    public static string PrefixOf(string id) => Prefix + id;

    /// <summary>The id in a text; null where it is no key of this form.</summary>
    public static string? IdIn(string text) =>
        text.Length == Prefix.Length + Ids.Length + 1 + SecretLength && text.StartsWith(Prefix, StringComparison.Ordinal) && text.Substring(Prefix.Length, Ids.Length) is var id && Ids.Is(id) ? id : null;

    /// <summary>Salt and hash. One pass of SHA-256 is enough where the text itself is random; the salt keeps equal texts apart.</summary>
    public static string Hash(string text)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(SaltBytes);
        return Convert.ToBase64String([.. salt, .. Hash(salt, text)]);
    }

    /// <summary>Whether a text is the one of a hash. How long it takes says nothing about either.</summary>
    public static bool Matches(string text, string hash)
    {
        byte[] stored = Convert.FromBase64String(hash);
        return CryptographicOperations.FixedTimeEquals(Hash(stored.AsSpan(0, SaltBytes), text), stored.AsSpan(SaltBytes));
    }

    private static byte[] Hash(ReadOnlySpan<byte> salt, string text) => SHA256.HashData([.. salt, .. Encoding.UTF8.GetBytes(text)]);
}
