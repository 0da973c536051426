namespace CaptionService.Api.Keys;

/// <summary>Who may use the service: section <c>Auth</c> of the configuration, or <c>Auth__Name</c> in the environment.</summary>
public sealed class AuthOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Auth";

    /// <summary>Fewest characters of a first key: nobody guesses them.</summary>
    public const int FewestCharacters = 32;

    /// <summary>Lets everybody do everything, wherever the service listens.</summary>
    public bool Disabled { get; init; }

    /// <summary>A key of scope admin that is not in the database, of at least 32 characters, as <c>openssl rand -hex 32</c> makes it.</summary>
    public string? FirstKey { get; init; }

    /// <summary>A file with that key, such as a mounted secret.</summary>
    public string? FirstKeyFile { get; init; }
}
