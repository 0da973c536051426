using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;
using static TorchSharp.torch;

namespace CaptionService.Captioning;

/// <summary>What a model's captions say and do not say where a request has wishes about their words; made when first asked for.</summary>
internal sealed class WordChoice(string language, Tokenizer tokenizer, Vocabulary vocabulary)
{
    /// <summary>What the end of a sentence must at least be likely, once in a thousand, where characters are limited: what only ends for
    /// want of room is far below.</summary>
    public static readonly double LeastEnd = Math.Log(0.001);

    private readonly GenderedWords? _gendered = GenderedWords.For(language);
    private readonly Dictionary<(bool, bool), Wording> _wordings = [];
    private readonly Lazy<WordLengths> _lengths = new(() => new WordLengths(tokenizer, vocabulary));
    private readonly HashSet<string> _nouns = Tokenizer.SameLanguage(language, "de") ? [.. GenderedWords.For(language)!.Classes.SelectMany(its => its.Instead)] : [];
    private PooledWords? _neutral;

    /// <summary>A word as it is shown. The captions that a model learnt from may have had a noun of German in small letters more often.</summary>
    public string Shown(int id) => vocabulary.Display(id) is var word && _nouns.Contains(word) ? char.ToUpperInvariant(word[0]) + word[1..] : word;

    public Wording? Wording(CaptionOptions options)
    {
        var key = (options.GenderNeutral, options.NoOpenings);
        if (key is (false, false))
            return null;
        if (!_wordings.TryGetValue(key, out var wording))
            _wordings[key] = wording = new Wording(options.GenderNeutral ? _gendered : null, options.NoOpenings ? Openings.For(language) : [], vocabulary);
        return wording;
    }

    public CharacterLimit? Limit(CaptionOptions options) => options.MaxCharacters is { } most ? new CharacterLimit(most, _lengths.Value) : null;

    public DecodeStep Step(DecodeStep step, CaptionOptions options, Device device) =>
        options.GenderNeutral && _gendered is not null ? (_neutral ??= new PooledWords(_gendered.Classes, vocabulary)).Over(step, device) : step;
}
