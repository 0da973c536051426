using System.Text;

namespace CaptionService.Captioning.Language;

/// <summary>A vocabulary that cannot be used: the message says which line is wrong and why.</summary>
public sealed class VocabularyException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// The words a decoder can emit, and their ids: four special words, then words by descending frequency. A word is
/// looked up lower-cased and shown in its display form, so that nouns of German and names keep their capitals:
/// the caption of some ids is <c>tokenizer.Detokenize(ids.Select(Display))</c>.
/// </summary>
/// <remarks>
/// <c>vocabulary.txt</c> holds the display forms, one word a line in the order of ids: UTF-8, LF. Immutable and safe
/// to share between threads.
/// </remarks>
public sealed class Vocabulary
{
    /// <summary>Id of <c>&lt;pad&gt;</c>, which fills up batches of unequal captions.</summary>
    public const int Pad = 0;

    /// <summary>Id of <c>&lt;start&gt;</c>, the decoder's first input.</summary>
    public const int Start = 1;

    /// <summary>Id of <c>&lt;end&gt;</c>, which ends a caption.</summary>
    public const int End = 2;

    /// <summary>Id of <c>&lt;unk&gt;</c>, any word not in the vocabulary.</summary>
    public const int Unknown = 3;

    /// <summary>Most words of a vocabulary, the special ones included.</summary>
    public const int MaxCount = 1_000_000;

    /// <summary>Longest word, in UTF-16 units.</summary>
    public const int MaxWordLength = 100;

    /// <summary>Largest <c>vocabulary.txt</c>, in bytes.</summary>
    public const long MaxFileBytes = 64L << 20;
    private static readonly string[] Specials = ["<pad>", "<start>", "<end>", "<unk>"];

    private readonly List<string> display = [];
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);

    private Vocabulary(IEnumerable<string> lines)
    {
        foreach (string word in lines)
        {
            int id = display.Count;
            if (id == MaxCount)
                throw new VocabularyException($"The vocabulary has more than {MaxCount} words.");
            if (id < Specials.Length ? word != Specials[id] : Specials.Contains(word))
                throw new VocabularyException($"Line {id + 1}: the first {Specials.Length} words must be {string.Join(' ', Specials)}, each once.");
            if (word.Length is 0 or > MaxWordLength)
                throw new VocabularyException($"Line {id + 1}: a word has 1 to {MaxWordLength} characters, this one has {word.Length}.");
            if (word.Any(c => char.IsControl(c) || char.IsWhiteSpace(c)))
                throw new VocabularyException($"Line {id + 1}: a word holds no spaces and no control characters.");
            // The special words cannot be looked up: "<end>" typed in a caption is a word like any other.
            if (id >= Specials.Length && !ids.TryAdd(word.ToLowerInvariant(), id))
                throw new VocabularyException($"Line {id + 1}: \"{word}\" is there twice.");
            display.Add(word);
        }
        if (display.Count < Specials.Length)
            throw new VocabularyException($"The vocabulary must begin with {string.Join(' ', Specials)}.");
    }

    /// <summary>Number of words, the special ones included: the width of a decoder's output.</summary>
    public int Count => display.Count;

    /// <summary>The word of an id as it is shown.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in 0..<see cref="Count"/>-1.</exception>
    public string Display(int id) => display[id];

    /// <summary>The ids of lower-cased words, <see cref="Unknown"/> for those not known; no start or end is added.</summary>
    public int[] Encode(IReadOnlyList<string> lowerCasedTokens)
    {
        ArgumentNullException.ThrowIfNull(lowerCasedTokens);
        var encoded = new int[lowerCasedTokens.Count];
        for (int i = 0; i < encoded.Length; i++)
            encoded[i] = ids.GetValueOrDefault(lowerCasedTokens[i], Unknown);
        return encoded;
    }

    /// <summary>The lower-cased words of ids: what <see cref="Encode"/> is given, and what metrics compare.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in 0..<see cref="Count"/>-1.</exception>
    public string[] Decode(IReadOnlyList<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return [.. ids.Select(id => display[id].ToLowerInvariant())];
    }

    /// <summary>
    /// The vocabulary of a training set. A word's display form is its most frequent casing where it is not first in
    /// its caption (there a capital says nothing), or anywhere when it is only ever first.
    /// </summary>
    /// <param name="surfaces">The captions' words with their casing as typed, see <see cref="Tokenizer.Surfaces"/>.</param>
    /// <param name="minCount">Least number of occurrences of a word that is taken in: 1 up.</param>
    /// <exception cref="VocabularyException">More than <see cref="MaxCount"/> words, or one that cannot be stored.</exception>
    public static Vocabulary Build(IEnumerable<IReadOnlyList<string>> surfaces, int minCount)
    {
        ArgumentNullException.ThrowIfNull(surfaces);
        ArgumentOutOfRangeException.ThrowIfLessThan(minCount, 1);
        // lower-cased word → casing → how often it was first in a caption, and how often not
        var words = new Dictionary<string, Dictionary<string, (int First, int Later)>>(StringComparer.Ordinal);
        foreach (IReadOnlyList<string> caption in surfaces)
        {
            for (int i = 0; i < caption.Count; i++)
            {
                string lower = caption[i].ToLowerInvariant();
                if (!words.TryGetValue(lower, out var casings))
                    words[lower] = casings = new(StringComparer.Ordinal);
                (int first, int later) = casings.GetValueOrDefault(caption[i]);
                casings[caption[i]] = i == 0 ? (first + 1, later) : (first, later + 1);
            }
        }
        return new Vocabulary(Specials.Concat(words
            .Select(word => (Lower: word.Key, Casings: word.Value, Count: word.Value.Values.Sum(n => n.First + n.Later)))
            .Where(word => word.Count >= minCount && word.Lower.Length <= MaxWordLength)
            .OrderByDescending(word => word.Count).ThenBy(word => word.Lower, StringComparer.Ordinal)
            // Equally frequent casings: the greatest in ordinal order is the one with fewest capitals.
            .Select(word => word.Casings.OrderByDescending(casing => casing.Value.Later).ThenByDescending(casing => casing.Value.First)
                .ThenByDescending(casing => casing.Key, StringComparer.Ordinal).First().Key)));
    }

    /// <summary>
    /// These words, their ids unchanged, and after them those of another vocabulary that are not among them, in its order. A word of both
    /// is
    /// shown as the other has it, which is the one of the captions at hand.
    /// </summary>
    /// <exception cref="VocabularyException">More than <see cref="MaxCount"/> words.</exception>
    public Vocabulary With(Vocabulary other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new Vocabulary(
        [
            .. display.Select((word, id) => id >= Specials.Length && other.ids.TryGetValue(word.ToLowerInvariant(), out int its) ? other.display[its] : word),
            .. other.display.Skip(Specials.Length).Where(word => !ids.ContainsKey(word.ToLowerInvariant())),
        ]);
    }

    /// <summary>Reads the lines of a <c>vocabulary.txt</c>.</summary>
    /// <exception cref="VocabularyException">
    /// The special words are not the first four, or a word is empty, repeated (in any casing), longer than
    /// <see cref="MaxWordLength"/>, holds a space or control character, or is one too many.
    /// </exception>
    public static Vocabulary Parse(IEnumerable<string> lines)
    {
        ArgumentNullException.ThrowIfNull(lines);
        return new Vocabulary(lines);
    }

    /// <summary>Reads <c>vocabulary.txt</c>.</summary>
    /// <exception cref="VocabularyException">As <see cref="Parse"/>; also when the file is not UTF-8 or is larger than 64 MiB.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public static Vocabulary Load(string path)
    {
        if (new FileInfo(path).Length > MaxFileBytes)
            throw new VocabularyException($"The vocabulary file is larger than {MaxFileBytes >> 20} MiB.");
        try
        {
            return Parse(File.ReadLines(path, new UTF8Encoding(false, throwOnInvalidBytes: true)));
        }
        catch (DecoderFallbackException e)
        {
            throw new VocabularyException("The vocabulary file is not UTF-8.", e);
        }
    }

    /// <summary>Writes <c>vocabulary.txt</c>, replacing a file that is there.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => File.WriteAllText(path, string.Join('\n', display) + '\n');
}
