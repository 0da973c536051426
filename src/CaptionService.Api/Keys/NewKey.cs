using CaptionService.Api.Storage;

namespace CaptionService.Api.Keys;

/// <summary>A key to be made.</summary>
/// <param name="Name">Whose it is, or what for: 1 to 100 characters.</param>
/// <param name="Scope"><c>caption</c>, <c>train</c> or <c>admin</c>; each includes those before it.</param>
/// <param name="Days">How many days it is valid, 1 to 3,650; null: for ever.</param>
public sealed record NewKey(string? Name, string? Scope, int? Days = null)
{
    /// <summary>Makes it.</summary>
    /// <returns>The row, and the text, which is nowhere else.</returns>
    /// <exception cref="ProblemException">Something of it is missing or out of range.</exception>
    internal (ApiKey Key, string Text) Make(DateTimeOffset now)
    {
        if (Name?.Trim() is not { Length: > 0 and <= 100 } name || name.Printable() != name)
            throw new ProblemException(ProblemTable.InvalidOption, "name must be 1 to 100 printable characters.");
        Scope scope = Scopes.Parse(Scope) ?? throw new ProblemException(ProblemTable.InvalidOption, "scope must be caption, train or admin.");
        if (Days is < 1 or > 3650)
            throw new ProblemException(ProblemTable.InvalidOption, "days must be a number from 1 to 3,650.");
        string id = Ids.New();
        string text = KeyText.New(id);
        return (new ApiKey
        {
            Id = id,
            Name = name,
            Scope = scope,
            Hash = KeyText.Hash(text),
            CreatedAt = now,
            ExpiresAt = Days is { } days ? now.AddDays(days) : null,
        }, text);
    }
}
