namespace CaptionService.Api.Compatible;

/// <summary>How other people's programs find a model: section <c>Compatible</c> of the configuration, or <c>Compatible__Name</c> in the environment.</summary>
public sealed class CompatibleOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Compatible";

    /// <summary>Names that programs know and what each stands for here: a model's name, <c>name@version</c>, or <c>caption-de</c>.
    /// For programs that only list names they know, such as <c>llava</c>.</summary>
    public IReadOnlyDictionary<string, string> Aliases { get; init; } = new Dictionary<string, string>();
}
