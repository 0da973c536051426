using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;

namespace CaptionService.Captioning;

/// <summary>How one photo is to be captioned.</summary>
public sealed record CaptionOptions
{
    /// <summary>Captions returned, best first: 1 to <see cref="MaxBeamWidth"/>, at most <see cref="BeamWidth"/>.</summary>
    public int Count { get; init; } = 3;

    /// <summary>Hypotheses kept at each step of the search: 1 (greedy) to <see cref="MaxBeamWidth"/>.</summary>
    public int BeamWidth { get; init; } = BeamSearchOptions.DefaultWidth;

    /// <summary>Longest caption, in words, the end not counted: 1 to <see cref="MaxMaxLength"/>.</summary>
    public int MaxLength { get; init; } = BeamSearchOptions.DefaultMaxLength;

    /// <summary>Shortest caption, in words: 1 to <see cref="MaxLength"/>.</summary>
    public int MinLength { get; init; } = 1;

    /// <summary>Exponent a of the length normalisation, log p / length^a, by which the search compares hypotheses: 0 (none) to 2.</summary>
    public double LengthNormalization { get; init; } = BeamSearchOptions.DefaultLengthNormalization;

    /// <summary>How much the captions are to differ: 0 (the likeliest, however alike) to <see cref="MaxDiversity"/>; see
    /// <see cref="BeamSearchOptions.Diverse"/>.</summary>
    public double Diversity { get; init; }

    /// <summary>Whether no word states a person's sex, in a language that <see cref="GenderedWords"/> knows.</summary>
    public bool GenderNeutral { get; init; }

    /// <summary>Whether no caption begins with one of the language's <see cref="Language.Openings"/>, such as "there is".</summary>
    public bool NoOpenings { get; init; }

    /// <summary>Whether captions come in the order of their confidence, where the model has one.</summary>
    public bool SurestFirst { get; init; }

    /// <summary>Most characters of a text, its full stop included: <see cref="MinMaxCharacters"/> up; null: any number. The search ends in
    /// time.</summary>
    public int? MaxCharacters { get; init; }

    /// <summary>Whether the text begins with a capital and ends with a full stop; else it is the words, joined as the language writes
    /// them.</summary>
    public bool Sentence { get; init; } = true;

    /// <summary>Whether each caption carries its words' attention maps.</summary>
    public bool Attention { get; init; }

    /// <summary>Largest <see cref="BeamWidth"/> and <see cref="Count"/>.</summary>
    public const int MaxBeamWidth = 16;

    /// <summary>Largest <see cref="MaxLength"/>.</summary>
    public const int MaxMaxLength = 50;

    /// <summary>Smallest <see cref="MaxCharacters"/>: room for a dog.</summary>
    public const int MinMaxCharacters = 10;

    /// <summary>Largest <see cref="Diversity"/>: beyond it, likelihood counts for little.</summary>
    public const double MaxDiversity = 5;
}

/// <summary>One caption of a photo.</summary>
/// <param name="Text">As a person writes it: capital first, full stop, where <see cref="CaptionOptions.Sentence"/> asks for that.</param>
/// <param name="LogProbability">Natural logarithm of the caption's probability under the model, the end token included; not normalised by
/// length.</param>
/// <param name="Words">The words in order, as the model emitted them.</param>
/// <param name="Confidence">What <see cref="Calibration.Meaning"/> says, 0..1; null when the model has no calibration.</param>
/// <param name="Ended">Whether the model ended the sentence; if not, it was cut at the greatest length or where no room was left.</param>
public sealed record Caption(string Text, double LogProbability, IReadOnlyList<CaptionWord> Words, double? Confidence = null, bool Ended = true);

/// <summary>One word of a caption.</summary>
/// <param name="Text">The word.</param>
/// <param name="Probability">Its probability given the photo and the words before it, 0..1.</param>
/// <param name="Attention">Where the decoder looked: 14×14 weights by row, summing to 1; null when not asked for or when the decoder does
/// not attend.</param>
public sealed record CaptionWord(string Text, double Probability, float[]? Attention);
