using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Fetch;

/// <summary>Settings of photos that are named by their address: section <c>Fetch</c> of the configuration, or <c>Fetch__Name</c> in the environment.</summary>
public sealed class FetchOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Fetch";

    /// <summary>Most redirections that are followed, each checked like the first address.</summary>
    public const int MaxRedirects = 3;

    /// <summary>Longest address, in characters.</summary>
    public const int MaxUrlLength = 4096;

    /// <summary>Whether callers may name photos by their address. Off, since the service then reaches out for whoever may call it.</summary>
    public bool Enabled { get; init; }

    /// <summary>Networks of the operator's own that may be fetched from as well, as CIDR (<c>10.1.2.0/24</c>). Default: none, public addresses alone.</summary>
    public IReadOnlyList<string> AllowedNetworks { get; init; } = [];

    /// <summary>Longest time for one photo, with its redirections and repetitions: 1 second to 1 minute.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:01:00")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}
