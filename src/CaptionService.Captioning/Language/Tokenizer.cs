using System.Text;
using System.Text.RegularExpressions;

namespace CaptionService.Captioning.Language;

/// <summary>
/// Text to words and back, per language. A word is a run of letters, marks and digits that may hold inner hyphens
/// and apostrophes ("t-shirt", "o'clock") and inner points between digits ("2.5"); a Han or kana character is a
/// word by itself, and so is a Thai, Lao, Khmer or Burmese letter with its marks, since these languages put no blanks between
/// words; all other punctuation, emoji and their variation selectors are dropped.
/// </summary>
/// <remarks>
/// English agrees in effect with the PTBTokenizer of the COCO caption evaluation (Chen et al. 2015,
/// arXiv:1504.00325): "man's" is two words, "man" and "'s", and "isn't" is "is" and "n't".
/// Instances hold no state and may be shared between threads.
/// </remarks>
public sealed partial class Tokenizer
{
    private readonly bool english;
    private readonly string fullStop;

    /// <summary>Whether the language separates its words by spaces; else a character is a word.</summary>
    public bool Spaced { get; }

    /// <summary>
    /// Words that leave a caption unfinished when it ends on them ("a dog with a"), lower-cased: function words that in the
    /// captions of Flickr8k end fewer than one in 500 of the captions they are in. Empty for a language that has no such list here.
    /// </summary>
    public IReadOnlyList<string> NeverLast { get; }

    /// <summary>Words that join two alike, lower-cased: on both sides of them captions do not say the same ("white and white").</summary>
    public IReadOnlyList<string> Joins { get; }

    /// <summary>Words of a language written with spaces, lower-cased, that a caption may say more than once: those that stand for nothing
    /// in the
    /// photo (<see cref="NeverLast"/> and some that may end a caption). Empty for a language that has no such list here.</summary>
    public IReadOnlyList<string> Repeatable { get; }

    private Tokenizer(string primary)
    {
        Joins = primary switch { "en" => ["and", "or"], "de" => ["und", "oder"], "zh" => ["和", "与", "或"], _ => [] };
        NeverLast = primary switch { "en" => EnglishNeverLast, "de" => GermanNeverLast, "zh" => ChineseNeverLast, _ => [] };
        Repeatable = primary switch { "en" => EnglishRepeatable, "de" => GermanRepeatable, _ => [] };
        Spaced = primary is not ("zh" or "ja" or "th" or "lo" or "km" or "my");
        english = primary == "en";
        fullStop = primary switch { "zh" or "ja" => "。", "th" or "lo" => "", "km" => "។", "my" => "။", _ => "." };
    }

    /// <summary>The tokenizer of a language.</summary>
    /// <param name="language">A BCP 47 tag such as "en", "zh-Hans" or "de"; only its first part counts, in any casing.</param>
    public static Tokenizer For(string language)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(language);
        return new Tokenizer(Primary(language).ToLowerInvariant());
    }

    /// <summary>Whether two BCP 47 tags name one language, in either spelling (<c>de-AT</c>, <c>de_AT</c>); regions and scripts do not count.</summary>
    public static bool SameLanguage(string one, string other) => string.Equals(Primary(one), Primary(other), StringComparison.OrdinalIgnoreCase);

    private static string Primary(string tag) => tag.Split('-', '_')[0];

    /// <summary>The words of a caption, lower-cased: what models are trained on and metrics compare.</summary>
    public IReadOnlyList<string> Tokenize(string caption)
    {
        List<string> words = Split(caption);
        for (int i = 0; i < words.Count; i++)
            words[i] = words[i].ToLowerInvariant();
        return words;
    }

    /// <summary>The words of a caption with their casing as typed, one for each of <see cref="Tokenize"/>.</summary>
    public IReadOnlyList<string> Surfaces(string caption) => Split(caption);

    /// <summary>Writes words as a person does: "a", "man", "'s", "hat" become "A man's hat."</summary>
    /// <param name="words">Words in their display form.</param>
    /// <param name="sentence">Whether to begin with a capital and end with a full stop (。 in Chinese and Japanese).</param>
    /// <returns>The text; empty when there are no words.</returns>
    public string Detokenize(IReadOnlyList<string> words, bool sentence = true)
    {
        ArgumentNullException.ThrowIfNull(words);
        var text = new StringBuilder();
        foreach (string word in words)
        {
            if (word.Length == 0)
                continue;
            if (text.Length > 0 && !JoinsBefore(word) && !IsUnspaced(text[^1]))
                text.Append(' ');
            text.Append(word);
        }
        if (!sentence || text.Length == 0)
            return text.ToString();
        text[0] = char.ToUpperInvariant(text[0]);
        return text.Append(fullStop).ToString();
    }

    /// <summary>Whether a word never has a blank before it.</summary>
    internal bool JoinsBefore(string word) => IsUnspaced(word[0]) || (english && IsClitic(word));

    private List<string> Split(string caption)
    {
        ArgumentNullException.ThrowIfNull(caption);
        var words = new List<string>();
        foreach (Match match in Words().Matches(Normalize(caption)))
        {
            string word = match.Value;
            int head = english ? HeadLength(word) : word.Length;
            words.Add(word[..head]);
            if (head < word.Length)
                words.Add(word[head..]);
        }
        return words;
    }

    /// <summary>Length of an English word without the clitic at its end; its whole length when it has none or is one.</summary>
    private static int HeadLength(string word)
    {
        int apostrophe = word.LastIndexOf('\'');
        if (apostrophe <= 0)
            return word.Length;
        int head = word[apostrophe..].Equals("'t", StringComparison.OrdinalIgnoreCase) && word[apostrophe - 1] is 'n' or 'N'
            ? apostrophe - 1
            : apostrophe;
        return head > 0 && IsClitic(word[head..]) ? head : word.Length;
    }

    private static readonly string[] EnglishNeverLast =
    [
        .. "a an the this some each and or with of to at in into onto from for through across towards toward against beside between during under".Split(' '),
        .. "while whilst as that who which very is are has have being his its their 's".Split(' '),
    ];

    private static readonly string[] GermanNeverLast =
    [
        .. "ein eine einem einen einer eines der die das dem den des mit und oder von vom zum zur in im ins am beim bei für über unter neben hinter".Split(' '),
        .. "zwischen gegen durchs während wobei dass als ohne sein seine seinem seinen seiner ihre ihrem ihren ihrer".Split(' '),
    ];

    private static readonly string[] EnglishRepeatable = [.. EnglishNeverLast, .. "on by near over off up down out around one two other another".Split(' ')];

    private static readonly string[] GermanRepeatable = [.. GermanNeverLast, .. "auf an vor nach zu ab aus durch um ist sind sich zwei andere anderen".Split(' ')];

    // Measure words too: after 一 and 两 they wait for what is counted.
    private static readonly string[] ChineseNeverLast = "的 一 两 几 个 只 名 位 在 正 和 与 跟 及 或 有 被 从 对 给 用 而 为 是 很 另".Split(' ');

    private static bool IsClitic(string word) =>
        word.ToLowerInvariant() is "'s" or "'m" or "'d" or "'re" or "'ve" or "'ll" or "n't";

    // Written without spaces: Han and kana; Thai, Lao, Burmese and Khmer. A surrogate in a word is always half of a rare Han character.
    private const string EastAsian = @"\u3005\u3007\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF";
    private const string SoutheastAsian = @"\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF";
    private const string Unspaced = EastAsian + SoutheastAsian;
    private const string Selectors = @"\uFE00-\uFE0F\u20D0-\u20FF";      // they change how a sign looks; with an emoji they would be a word
    private const string Mark = $@"[\p{{M}}-[{Selectors}]]";
    private const string First = $@"[\p{{L}}\p{{N}}-[{Unspaced}]]";
    private const string Letter = $@"[\p{{L}}\p{{M}}\p{{N}}-[{Unspaced}{Selectors}]]";

    private static bool IsUnspaced(char c) => UnspacedCharacter().IsMatch([c]);

    [GeneratedRegex($@"[{Unspaced}\uD800-\uDFFF]")]
    private static partial Regex UnspacedCharacter();

    // In order: an unspaced character; a clitic that stands alone, as in text tokenised before ("man 's"); a word.
    [GeneratedRegex(
        $@"[{EastAsian}]|[\p{{L}}\p{{N}}-[^{SoutheastAsian}]]{Mark}*|[\uD840-\uD88F][\uDC00-\uDFFF]" +
        $@"|'(?:s|m|d|re|ve|ll)(?!{Letter}|['-])" +
        $@"|{First}{Letter}*(?:(?:['&-]|(?<=\p{{Nd}})[.,](?=\p{{Nd}})){Letter}+)*",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Words();

    /// <summary>
    /// Letters with their accents as one character, as Unicode's form C has them: of Latin and Cyrillic letters, kana and Hangul.
    /// <see cref="string.Normalize()"/> does nothing under InvariantGlobalization, and files and names from macOS come decomposed.
    /// </summary>
    public static string Compose(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.Any(c => c is >= '\u0300' and <= '\u036F' or '\u3099' or '\u309A' or >= '\u1160' and <= '\u11FF'))
            return text;
        var result = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            if (result.Length > 0 && Whole(result[^1], c) is { } whole)
                result[^1] = whole;
            else
                result.Append(c);
        }
        return result.ToString();
    }

    private static char? Whole(char letter, char mark)
    {
        if (Composed.TryGetValue((letter, mark), out char whole))
            return whole;
        // Hangul: 11,172 syllables in the order of their parts (Unicode 3.12).
        if (letter is >= '\u1100' and <= '\u1112' && mark is >= '\u1161' and <= '\u1175')
            return (char)(0xAC00 + ((letter - 0x1100) * 21 + mark - 0x1161) * 28);
        if (letter is >= '\uAC00' and <= '\uD7A3' && (letter - 0xAC00) % 28 == 0 && mark is >= '\u11A8' and <= '\u11C2')
            return (char)(letter + mark - 0x11A7);
        return null;
    }

    /// <summary>One apostrophe for all its shapes, and composed letters.</summary>
    private static string Normalize(string text)
    {
        string composed = Compose(text);
        return string.Create(composed.Length, composed, (result, source) =>
        {
            for (int i = 0; i < source.Length; i++)
                result[i] = source[i] is '\u2018' or '\u2019' or '\u02BC' or '\u00B4' or '\u0060' ? '\'' : source[i];
        });
    }

    // Each entry: a combining mark, then pairs of a letter without it and with it.
    private static readonly Dictionary<(char Letter, char Mark), char> Composed = new[]
    {
        "\u0300AÀaàEÈeèIÌiìOÒoòUÙuù", "\u0301AÁaáCĆcćEÉeéIÍiíNŃnńOÓoóSŚsśUÚuúYÝyýZŹzź", "\u0302AÂaâEÊeêIÎiîOÔoôUÛuûWŴwŵYŶyŷ",
        "\u0303AÃaãNÑnñOÕoõ", "\u0304AĀaāEĒeēIĪiīOŌoōUŪuū", "\u0306AĂaăGĞgğИЙий", "\u0307EĖeėIİZŻzż", "\u0308AÄaäEËeëIÏiïOÖoöUÜuüYŸyÿЕЁеё",
        "\u030AAÅaåUŮuů", "\u030BOŐoőUŰuű", "\u030CCČcčDĎdďEĚeěNŇnňRŘrřSŠsšTŤtťZŽzž", "\u0327CÇcçSŞsş", "\u0328AĄaąEĘeęIĮiįUŲuų",
        // Vietnamese, whose vowels have two marks; the one below the letter comes first in a decomposed text.
        "\u0300ÂẦâầĂẰăằÊỀêềÔỒôồƠỜơờƯỪưừYỲyỳ", "\u0301ÂẤâấĂẮăắÊẾêếÔỐôốƠỚơớƯỨưứ", "\u0303ÂẪâẫĂẴăẵEẼeẽÊỄêễIĨiĩÔỖôỗƠỠơỡUŨuũƯỮưữYỸyỹ",
        "\u0309AẢaảÂẨâẩĂẲăẳEẺeẻÊỂêểIỈiỉOỎoỏÔỔôổƠỞơởUỦuủƯỬưửYỶyỷ", "\u0323AẠaạEẸeẹIỊiịOỌoọƠỢơợUỤuụƯỰưựYỴyỵ", "\u0302ẠẬạậẸỆẹệỌỘọộ", "\u0306ẠẶạặ",
        "\u031BOƠoơUƯuư",
        // Kana with their voicing marks.
        "\u3099かがきぎくぐけげこごさざしじすずせぜそぞただちぢつづてでとどはばひびふぶへべほぼカガキギクグケゲコゴサザシジスズセゼソゾタダチヂツヅテデトドハバヒビフブヘベホボウヴ",
        "\u309Aはぱひぴふぷへぺほぽハパヒピフプヘペホポ",
    }.SelectMany(row => row[1..].Chunk(2), (row, pair) => ((pair[0], row[0]), pair[1])).ToDictionary();
}
