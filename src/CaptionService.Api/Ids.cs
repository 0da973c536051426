using System.Security.Cryptography;

namespace CaptionService.Api;

/// <summary>Names of things that callers make: 12 characters of base32 (60 random bits), safe in addresses and file names.</summary>
public static class Ids
{
    /// <summary>Characters of an id.</summary>
    public const int Length = 12;

    private const string Alphabet = "abcdefghijklmnopqrstuvwxyz234567";

    /// <summary>A new one.</summary>
    public static string New() => RandomNumberGenerator.GetString(Alphabet, Length);

    /// <summary>Whether a text is one; whatever is not never becomes part of a path.</summary>
    public static bool Is(string text) => text.Length == Length && text.All(Alphabet.Contains);
}
