using System.Text;
using System.Text.RegularExpressions;

namespace CaptionService.Api.Tests;

/// <summary>Looks for secrets in everything that the services of a whole test run have written: each is looked through before its folder goes.</summary>
internal static partial class Secrets
{
    private const long MostBytes = 50_000_000;      // larger are arrays of numbers

    /// <summary>No file of a folder holds a key, nor does what was said.</summary>
    /// <param name="folder">Where a service kept its data; links are not followed.</param>
    /// <param name="said">Its log.</param>
    public static void AssertNone(string folder, IEnumerable<string>? said = null)
    {
        var all = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles("*", all).Where(file => file.Length <= MostBytes && !file.Name.EndsWith("lock", StringComparison.Ordinal)))
        {
            Assert.False(Key().IsMatch(File.ReadAllText(file.FullName, Encoding.Latin1)), $"{file.FullName} holds a key.");
        }
        Assert.DoesNotContain(said ?? [], line => Key().IsMatch(line));
    }

    // Keys as KeyText makes them; the first key, and the webhooks' secret, of services in tests.
    [GeneratedRegex("cs_[a-z2-7]{12}_[a-z2-7]{40}|" + ServiceFactory.FirstKey + "|" + WebhooksTests.Secret)]
    private static partial Regex Key();
}
