namespace CaptionService.Captioning;

/// <summary>How one photo is to be captioned.</summary>
public sealed record CaptionOptions
{
    /// <summary>Captions returned, best first: 1 to <see cref="MaxBeamWidth"/>, at most <see cref="BeamWidth"/>.</summary>
    public int Count { get; init; } = 3;

    /// <summary>Hypotheses kept at each step of the search: 1 (greedy) to <see cref="MaxBeamWidth"/>.</summary>
    public int BeamWidth { get; init; } = DefaultBeamWidth;

    /// <summary>Longest caption, in words, the end not counted: 1 to <see cref="MaxMaxLength"/>.</summary>
    public int MaxLength { get; init; } = 20;

    /// <summary>Exponent a of the length normalisation, log p / length^a: 0 (none) to 2.</summary>
    public double LengthNormalization { get; init; } = DefaultLengthNormalization;

    /// <summary>Whether each caption carries its words' attention maps.</summary>
    public bool Attention { get; init; }

    /// <summary>Default of <see cref="BeamWidth"/>, chosen on the development split.</summary>
    public const int DefaultBeamWidth = 3;

    /// <summary>Default of <see cref="LengthNormalization"/>, chosen on the development split.</summary>
    public const double DefaultLengthNormalization = 0.7;

    /// <summary>Largest <see cref="BeamWidth"/> and <see cref="Count"/>.</summary>
    public const int MaxBeamWidth = 16;

    /// <summary>Largest <see cref="MaxLength"/>.</summary>
    public const int MaxMaxLength = 50;
}

/// <summary>One caption of a photo.</summary>
/// <param name="Text">As a person writes it: capital first, full stop.</param>
/// <param name="LogProbability">Natural logarithm of the caption's probability under the model, the end token included; not normalised by length.</param>
/// <param name="Words">The words in order, as the model emitted them.</param>
public sealed record Caption(string Text, double LogProbability, IReadOnlyList<CaptionWord> Words);

/// <summary>One word of a caption.</summary>
/// <param name="Text">The word.</param>
/// <param name="Probability">Its probability given the photo and the words before it, 0..1.</param>
/// <param name="Attention">Where the decoder looked: 14×14 weights by row, summing to 1; null when not asked for or when the decoder does not attend.</param>
public sealed record CaptionWord(string Text, double Probability, float[]? Attention);

/// <summary>The captions of a batch and what they cost.</summary>
/// <param name="Photos">One ranked list for each photo, in the order of the photos.</param>
/// <param name="Encode">Time in the encoder, for the whole batch.</param>
/// <param name="Decode">Time in the decoder and search, for the whole batch.</param>
public sealed record CaptionedBatch(IReadOnlyList<IReadOnlyList<Caption>> Photos, TimeSpan Encode, TimeSpan Decode);
