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
        $"Captions of each photo, best first. Default: {Defaults.Count}, or `beamWidth` where that is given and smaller; with `purpose=alt` 1.");

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
