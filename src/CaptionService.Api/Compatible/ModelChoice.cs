using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace CaptionService.Api.Compatible;

/// <summary>
/// Which model answers a program of another protocol: the one it names (<c>name</c>, <c>name@version</c>), that of the language it names
/// (<c>caption-de</c>), what an alias stands for, or, without a name, the default. A prompt that is plainly German or Chinese takes the
/// language's model where the program names an alias or nothing.
/// </summary>
internal sealed class ModelChoice(IOptions<CompatibleOptions> options, ModelRegistry models)
{
    /// <summary>A name that leaves the model to the service; with a language behind it, <c>caption-de</c>, that language's.</summary>
    public const string Any = "caption";

    private readonly Dictionary<string, string> _aliases = new(options.Value.Aliases, StringComparer.OrdinalIgnoreCase);

    /// <summary>The names that a list of models shows, with the model of each.</summary>
    public IReadOnlyList<(string Name, RegisteredModel Model)> Listed =>
    [
        .. _aliases.Select(alias => (alias.Key, Named(alias.Value))).Where(alias => alias.Item2 is not null).Select(alias => (alias.Key, alias.Item2!)),
        .. models.Active.Select(model => (model.Card.Name, model)),
        .. models.Active.Select(model => ($"{Any}-{model.Card.Language}", model)),
    ];

    /// <exception cref="ProblemException">There is no such model or language.</exception>
    public RegisteredModel Of(string? model, string? prompt, StringValues acceptLanguage)
    {
        string name = model?.Trim() ?? "";
        if (Named(name) is { } named)
            return named;
        // Ollama's clients add a tag: llava:latest, llava:7b.
        RegisteredModel otherwise = Alias(name) is { } alias
            ? Named(alias) ?? throw Unknown(alias)
            : name is "" or Any ? RequestedModels.Of(RequestedOptions.Default, acceptLanguage, models)[0]
            : Named(name.Split(':')[0]) ?? throw Unknown(name);
        return PromptLanguage.Of(prompt) is { } language && models.ActiveFor(language) is { } spoken ? spoken : otherwise;
    }

    private string? Alias(string name) => _aliases.GetValueOrDefault(name) ?? _aliases.GetValueOrDefault(name.Split(':')[0]);

    private RegisteredModel? Named(string name) =>
        name.StartsWith(Any + "-", StringComparison.Ordinal) ? models.ActiveFor(name[(Any.Length + 1)..])
        : models.All.Any(model => name == model.Card.Name || name == model.Reference) ? models.Find(name) : null;

    private static ProblemException Unknown(string name) => new(ProblemTable.ModelNotFound, $"There is no model '{name.Shortened(80)}', nor an alias (Compatible:Aliases).");
}
