using System.Globalization;
using CaptionService.Captioning;

namespace CaptionService.Api.Captions;

/// <summary>One number a caller may set: its name, range and default, for reading it and for describing it.</summary>
/// <param name="Name">Name in the query, a form and JSON.</param>
/// <param name="Integer">Whether fractions are refused.</param>
/// <param name="Minimum">Smallest value.</param>
/// <param name="Maximum">Largest value.</param>
/// <param name="Default">Value when not given; null when it depends on another option.</param>
/// <param name="Description">What it does.</param>
internal sealed record NumberOption(string Name, bool Integer, double Minimum, double Maximum, double? Default, string Description)
{
    private static readonly CaptionOptions Defaults = new();

    public static readonly NumberOption Count = new("count", true, 1, CaptionOptions.MaxBeamWidth, null,
        $"Captions of each photo, best first. Default: {Defaults.Count}, or `beamWidth` where that is given and smaller.");

    public static readonly NumberOption BeamWidth = new("beamWidth", true, 1, CaptionOptions.MaxBeamWidth, null,
        $"Hypotheses the search keeps at each word; 1 is greedy. At least `count`. Default: {Defaults.BeamWidth}, or `count` where that is greater.");

    public static readonly NumberOption MaxLength = new("maxLength", true, 1, CaptionOptions.MaxMaxLength, Defaults.MaxLength,
        "Longest caption, in words.");

    public static readonly NumberOption MinLength = new("minLength", true, 1, CaptionOptions.MaxMaxLength, Defaults.MinLength,
        "Shortest caption, in words; at most `maxLength`.");

    public static readonly NumberOption LengthNormalization = new("lengthNormalization", false, 0, 2, Defaults.LengthNormalization,
        "The search compares hypotheses by log-probability / length^this: 0 favours short captions, 2 long ones. Beams are led by what people can be expected to say of the photo, and what is found is ranked by that and by what the hypotheses have in common.");

    public static readonly NumberOption Diversity = new("diversity", false, 0, CaptionOptions.MaxDiversity, Defaults.Diversity,
        "How much the captions of a photo are to differ. 0: not at all, they are often alike. Above it, each is searched by beams of its own, and a word costs this much log-probability "
        + "for each beam before them that says it at the same place.");

    public static readonly IReadOnlyList<NumberOption> All = [Count, BeamWidth, MaxLength, MinLength, LengthNormalization, Diversity];
}

/// <summary>What a caller asked for, checked.</summary>
/// <param name="Search">How to search.</param>
/// <param name="Languages">BCP 47 tags, in the order asked; empty when the request does not say.</param>
/// <param name="Model">The model's name, or null for the languages' active ones.</param>
/// <param name="Words">Whether captions carry their words.</param>
internal sealed record RequestedOptions(CaptionOptions Search, IReadOnlyList<string> Languages, string? Model, bool Words)
{
    public const string LanguageName = "language";
    public const string ModelName = "model";
    public const string StyleName = "style";
    public const string SentenceStyle = "sentence";
    public const string RawStyle = "raw";
    public const string IncludeName = "include";
    public const string WordsItem = "words";
    public const string AttentionItem = "attention";

    private static readonly string[] Names = [.. NumberOption.All.Select(option => option.Name), LanguageName, ModelName, StyleName, IncludeName];

    /// <summary>Whether an option is a list, which may come in parts.</summary>
    public static bool IsList(string name) => name.Equals(LanguageName, StringComparison.OrdinalIgnoreCase) || name.Equals(IncludeName, StringComparison.OrdinalIgnoreCase);

    /// <summary>Refuses a name that no option has.</summary>
    /// <exception cref="ProblemException">There is no such option.</exception>
    public static void CheckName(string name)
    {
        if (!Names.Contains(name, StringComparer.OrdinalIgnoreCase))
            throw Invalid(ShortText.NoSuch("option", name, Names));
    }

    /// <summary>Reads options as text, by names that were checked. Empty values count as not given, as forms send them.</summary>
    /// <exception cref="ProblemException">One is out of range.</exception>
    public static RequestedOptions Parse(IReadOnlyDictionary<string, string> given)
    {
        var defaults = new CaptionOptions();
        int? count = (int?)Number(given, NumberOption.Count);
        int? beamWidth = (int?)Number(given, NumberOption.BeamWidth);
        if (count > beamWidth)
            throw Invalid($"count is {count}, but a search with beamWidth {beamWidth} finds {beamWidth} captions: count must be at most beamWidth.");
        int maxLength = (int?)Number(given, NumberOption.MaxLength) ?? defaults.MaxLength;
        int minLength = (int?)Number(given, NumberOption.MinLength) ?? defaults.MinLength;
        if (minLength > maxLength)
            throw Invalid($"minLength is {minLength}, but captions end after maxLength, {maxLength} words.");
        string? style = Text(given, StyleName);
        if (style is not (null or SentenceStyle or RawStyle))
            throw Invalid($"style is '{SentenceStyle}' or '{RawStyle}', not '{style.Shortened()}'.");
        string[] included = Included(given);
        bool attention = included.Contains(AttentionItem);
        var search = new CaptionOptions
        {
            Count = count ?? Math.Min(defaults.Count, beamWidth ?? defaults.Count),
            BeamWidth = beamWidth ?? Math.Max(defaults.BeamWidth, count ?? 0),
            MaxLength = maxLength,
            MinLength = minLength,
            LengthNormalization = Number(given, NumberOption.LengthNormalization) ?? defaults.LengthNormalization,
            Diversity = Number(given, NumberOption.Diversity) ?? defaults.Diversity,
            Sentence = style != RawStyle,
            Attention = attention,
        };
        return new RequestedOptions(search, Items(given, LanguageName), Text(given, ModelName), attention || included.Contains(WordsItem));
    }

    private static double? Number(IReadOnlyDictionary<string, string> given, NumberOption option)
    {
        if (Text(given, option.Name) is not { } text)
            return null;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            && value >= option.Minimum && value <= option.Maximum
            && (!option.Integer || double.IsInteger(value)))
        {
            return value;
        }
        string kind = option.Integer ? "a whole number" : "a number";
        throw Invalid(string.Create(CultureInfo.InvariantCulture, $"{option.Name} is '{text.Shortened()}'; it must be {kind} from {option.Minimum} to {option.Maximum}."));
    }

    private static string[] Included(IReadOnlyDictionary<string, string> given)
    {
        string[] items = Items(given, IncludeName);
        if (items.FirstOrDefault(item => item is not (WordsItem or AttentionItem)) is { } unknown)
            throw Invalid($"include is a list of '{WordsItem}' and '{AttentionItem}', not '{unknown.Shortened()}'.");
        return items;
    }

    private static string[] Items(IReadOnlyDictionary<string, string> given, string name) =>
        Text(given, name)?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];

    private static string? Text(IReadOnlyDictionary<string, string> given, string name) =>
        given.GetValueOrDefault(name) is { } text && !string.IsNullOrWhiteSpace(text) ? text.Trim() : null;

    internal static ProblemException Invalid(string what) => new(ProblemTable.InvalidOption, what);
}
