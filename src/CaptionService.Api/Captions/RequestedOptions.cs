using System.Globalization;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Language;

namespace CaptionService.Api.Captions;

/// <summary>What a caller asked for, checked.</summary>
/// <param name="Search">How to search.</param>
/// <param name="Languages">BCP 47 tags, in the order asked; empty when the request does not say.</param>
/// <param name="Model">The model's name, or null for the languages' active ones.</param>
/// <param name="Words">Whether captions carry their words.</param>
/// <param name="Alt">Whether a text stands for its photo: an unsure one is left empty.</param>
/// <param name="NeutralAsked">Whether the caller asked for gender-neutral words by name, so that a language without a list of them is refused.</param>
internal sealed record RequestedOptions(CaptionOptions Search, IReadOnlyList<string> Languages, string? Model, bool Words, bool Alt = false, bool NeutralAsked = false)
{
    /// <summary>What captions are when nothing is asked for.</summary>
    public static readonly RequestedOptions Default = new(new CaptionOptions(), [], null, false);

    public const string LanguageName = "language";
    public const string ModelName = "model";
    public const string StyleName = "style";
    public const string SentenceStyle = "sentence";
    public const string RawStyle = "raw";
    public const string IncludeName = "include";
    public const string WordsItem = "words";
    public const string AttentionItem = "attention";
    public const string PurposeName = "purpose";
    public const string CaptionPurpose = "caption";
    public const string AltPurpose = "alt";
    public const string GenderNeutralName = "genderNeutral";
    public const string MaxCharactersName = "maxCharacters";

    /// <summary>Largest number of characters that can be asked for.</summary>
    public const int MostCharacters = 2000;

    /// <summary>What programs take, by their names.</summary>
    public static readonly IReadOnlyDictionary<string, int> CharacterPresets = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase) { ["wordpress"] = 125, ["mastodon"] = 1500 };

    private const int AltCharacters = 125;

    private static readonly string[] Names =
    [
        .. NumberOption.All.Select(option => option.Name), LanguageName, ModelName, StyleName, IncludeName, PurposeName, GenderNeutralName, MaxCharactersName,
    ];

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
        string? purpose = Text(given, PurposeName)?.ToLowerInvariant();
        if (purpose is not (null or CaptionPurpose or AltPurpose))
            throw Invalid($"purpose is '{CaptionPurpose}' or '{AltPurpose}', not '{purpose.Shortened()}'.");
        bool alt = purpose == AltPurpose;
        bool? neutral = Text(given, GenderNeutralName) is not { } text ? null
            : bool.TryParse(text, out bool yes) ? yes : throw Invalid($"genderNeutral is 'true' or 'false', not '{text.Shortened()}'.");
        int otherwise = alt ? 1 : defaults.Count;
        var search = new CaptionOptions
        {
            Count = count ?? Math.Min(otherwise, beamWidth ?? otherwise),
            BeamWidth = beamWidth ?? Math.Max(defaults.BeamWidth, count ?? 0),
            MaxLength = maxLength,
            MinLength = minLength,
            LengthNormalization = Number(given, NumberOption.LengthNormalization) ?? defaults.LengthNormalization,
            Diversity = Number(given, NumberOption.Diversity) ?? defaults.Diversity,
            Sentence = style != RawStyle,
            Attention = attention,
            GenderNeutral = neutral ?? alt,
            NoOpenings = alt,
            SurestFirst = alt,
            MaxCharacters = Characters(given) ?? (alt ? AltCharacters : null),
        };
        return new RequestedOptions(search, Items(given, LanguageName), Text(given, ModelName), attention || included.Contains(WordsItem), alt, neutral == true);
    }

    /// <summary>Refuses gender-neutral words of models that cannot keep to them.</summary>
    /// <exception cref="ProblemException">They were asked for, and a model's language has no list.</exception>
    public void Check(RegisteredModel[] asked)
    {
        if (NeutralAsked && Array.Find(asked, model => GenderedWords.For(model.Card.Language) is null) is { } without)
            throw Invalid($"genderNeutral is offered in English, German and Chinese; {without.Reference} writes '{without.Card.Language}'.");
    }

    private static int? Characters(IReadOnlyDictionary<string, string> given)
    {
        if (Text(given, MaxCharactersName) is not { } text)
            return null;
        if (CharacterPresets.TryGetValue(text, out int preset) || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out preset) && preset is >= CaptionOptions.MinMaxCharacters and <= MostCharacters))
            return preset;
        throw Invalid($"maxCharacters is '{text.Shortened()}'; it must be a whole number from {CaptionOptions.MinMaxCharacters} to {MostCharacters}, or one of {string.Join(", ", CharacterPresets.Keys)}.");
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
