using CaptionService.Captioning.Language;

namespace CaptionService.Captioning.Search;

/// <summary>How to search.</summary>
public sealed record BeamSearchOptions
{
    /// <summary>Default of <see cref="Width"/>, chosen on the development split.</summary>
    public const int DefaultWidth = 10;

    /// <summary>Default of <see cref="LengthNormalization"/>, chosen on the development split.</summary>
    public const double DefaultLengthNormalization = 1;

    /// <summary>Default of <see cref="MaxLength"/>.</summary>
    public const int DefaultMaxLength = 20;

    /// <summary>Hypotheses kept at each step: 1 (greedy) up.</summary>
    public int Width { get; init; } = DefaultWidth;

    /// <summary>Hypotheses returned for each photo: 1 to <see cref="Width"/>.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Longest hypothesis in words, the end not counted: 1 up.</summary>
    public int MaxLength { get; init; } = DefaultMaxLength;

    /// <summary>Shortest that may end, in words: 1 to <see cref="MaxLength"/>.</summary>
    public int MinLength { get; init; } = 1;

    /// <summary>Exponent a of a hypothesis' score log p / length^a, where length counts its words and its end: 0 (none) up.</summary>
    public double LengthNormalization { get; init; } = DefaultLengthNormalization;

    /// <summary>No run of this many words occurs twice in a hypothesis: 1 up, or 0 to allow it.</summary>
    public int NoRepeatNgram { get; init; }

    /// <summary>Whether a word may not follow itself, at once ("a dog dog") or across one of <see cref="Joins"/> ("a white and white dog"),
    /// and
    /// where <see cref="Repeatable"/> are known, no other word occurs twice ("on the beach on a beach").</summary>
    public bool NoWordTwice { get; init; }

    /// <summary>Ids of the words that may occur twice; none: all.</summary>
    public IReadOnlyList<int> Repeatable { get; init; } = [];

    /// <summary>Ids of conjunctions.</summary>
    public IReadOnlyList<int> Joins { get; init; } = [];

    /// <summary>Ids never emitted, each below V, besides <c>&lt;pad&gt;</c>, <c>&lt;start&gt;</c> and <c>&lt;unk&gt;</c>.</summary>
    public IReadOnlyList<int> Forbidden { get; init; } = [];

    /// <summary>What no hypothesis says besides; null: nothing.</summary>
    public Wording? Wording { get; init; }

    /// <summary>Most characters of a hypothesis; null: any number.</summary>
    public CharacterLimit? Characters { get; init; }

    /// <summary>Least log-probability of the end of a hypothesis that ends. Where there is no room for more words an end is all that is left,
    /// though the sentence is not over ("a dog in a red").</summary>
    public double LeastEnd { get; init; } = double.NegativeInfinity;

    /// <summary>Ids, each below V, that no hypothesis ends on ("a dog with a"): not before its end, and not where it is cut at
    /// <see cref="MaxLength"/>.</summary>
    public IReadOnlyList<int> NeverLast { get; init; } = [];

    /// <summary>Groups that the beams are searched in: 1 (plain beam search) to <see cref="Width"/>, which it divides.</summary>
    public int Groups { get; init; } = 1;

    /// <summary>What a word costs a group for each beam of the groups before it that took the word at the same step, as log-probability: 0
    /// up
    /// (Hamming diversity). It steers the choice only; hypotheses keep their true probabilities.</summary>
    public double Diversity { get; init; }

    /// <summary>The search's defaults for a language: no pair of words twice, no word
    /// twice in a row or, of what is to be seen, at all. Where a character is a word, both are part of the language (慢慢, 一个…一个): only runs
    /// of four are kept from repeating.
    /// No hypothesis ends on a word that leaves it unfinished.</summary>
    public static BeamSearchOptions For(Tokenizer tokenizer, Vocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(vocabulary);
        int[] Ids(IReadOnlyList<string> words) => [.. vocabulary.Encode(words).Where(id => id != Vocabulary.Unknown)];
        return new()
        {
            NoRepeatNgram = tokenizer.Spaced ? 2 : 4,
            NoWordTwice = tokenizer.Spaced,
            Joins = Ids(tokenizer.Joins),
            Repeatable = Ids(tokenizer.Repeatable),
            NeverLast = Ids(tokenizer.NeverLast),
        };
    }

    /// <summary>This search for hypotheses that differ: each of <see cref="Count"/> comes from a group of its own, the width rounded up to
    /// whole groups.</summary>
    /// <param name="diversity">0: the plain search, unchanged.</param>
    public BeamSearchOptions Diverse(double diversity) =>
        diversity == 0 ? this : this with { Groups = Count, Width = (Width + Count - 1) / Count * Count, Diversity = diversity };

    /// <summary>This search for all hypotheses of its width.</summary>
    public BeamSearchOptions ForAll() => this with { Count = Width };

    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Width, 1, nameof(Width));
        ArgumentOutOfRangeException.ThrowIfLessThan(Count, 1, nameof(Count));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Count, Width, nameof(Count));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxLength, 1, nameof(MaxLength));
        ArgumentOutOfRangeException.ThrowIfLessThan(MinLength, 1, nameof(MinLength));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MinLength, MaxLength, nameof(MinLength));
        ArgumentOutOfRangeException.ThrowIfNegative(NoRepeatNgram, nameof(NoRepeatNgram));
        ArgumentOutOfRangeException.ThrowIfLessThan(Groups, 1, nameof(Groups));
        if (Width % Groups != 0)
            throw new ArgumentOutOfRangeException(nameof(Groups), Groups, $"Groups must divide Width, {Width}.");
        if (!(Diversity >= 0 && double.IsFinite(Diversity)))
            throw new ArgumentOutOfRangeException(nameof(Diversity), Diversity, "Diversity must be 0 or more.");
        if (!(LengthNormalization >= 0 && double.IsFinite(LengthNormalization)))
            throw new ArgumentOutOfRangeException(nameof(LengthNormalization), LengthNormalization, "LengthNormalization must be 0 or more.");
    }
}
