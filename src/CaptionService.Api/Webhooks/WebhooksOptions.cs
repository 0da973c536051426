using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Webhooks;

/// <summary>Who is told of jobs that end: section <c>Webhooks</c> of the configuration, or <c>Webhooks__Name</c> in the
/// environment.</summary>
public sealed class WebhooksOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Webhooks";

    /// <summary>Addresses that are told, each of every job that ends. Default: none.</summary>
    public IReadOnlyList<string> Urls { get; init; } = [];

    /// <summary>What messages are signed with, as Standard Webhooks has it: <c>whsec_</c> and 24 to 64 bytes in base64.</summary>
    public string? Secret { get; init; }

    /// <summary>Networks of the operator's own that may be sent to as well, as CIDR (<c>10.1.2.0/24</c>). Default: none, public addresses
    /// alone.</summary>
    public IReadOnlyList<string> AllowedNetworks { get; init; } = [];

    /// <summary>Longest time for one answer: 1 second to 1 minute.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:01:00")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>The secret's bytes; null where it is none.</summary>
    internal byte[]? Key
    {
        get
        {
            byte[] key = new byte[64];
            return Secret is { } secret && secret.StartsWith("whsec_", StringComparison.Ordinal)
                && Convert.TryFromBase64String(secret["whsec_".Length..], key, out int length) && length >= 24 ? key[..length] : null;
        }
    }
}
