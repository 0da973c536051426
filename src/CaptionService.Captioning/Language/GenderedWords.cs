using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace CaptionService.Captioning.Language;

/// <summary>Words that may stand where others are given up.</summary>
/// <param name="GivenUp">Lower-cased words.</param>
/// <param name="Instead">Those that may stand for them.</param>
/// <param name="OnlyAfter">Words before it where they may, "" for the beginning; empty: anywhere.</param>
/// <param name="NotAfter">Words before it where they may not.</param>
public sealed record WordClass(IReadOnlyList<string> GivenUp, IReadOnlyList<string> Instead, IReadOnlyList<string> OnlyAfter, IReadOnlyList<string> NotAfter);

/// <summary>
/// The words of a language that state a person's sex, lower-cased: nouns, pronouns, and in German nouns of persons in their feminine
/// form. German's masculine form is left where it is said of anyone ("Skifahrer"), and so are names of characters ("Batman").
/// </summary>
public sealed class GenderedWords
{
    private readonly HashSet<string> _words, _others;
    private readonly Regex _endings;

    /// <summary>Words that state a sex together.</summary>
    public IReadOnlyList<string[]> Phrases { get; }

    /// <summary>Gendered words that are none after some others, as 他 in 吉他, a guitar.</summary>
    public IReadOnlyDictionary<string, string[]> UnlessAfter { get; }

    /// <summary>What may stand for them: of the same number and, in German, of the same grammatical gender, so that what stands before
    /// fits.</summary>
    public IReadOnlyList<WordClass> Classes { get; }

    private GenderedWords(string words, [StringSyntax(StringSyntaxAttribute.Regex)] string endings, string others, string phrases, string unlessAfter, params WordClass[] classes)
    {
        _words = [.. Split(words)];
        _others = [.. Split(others)];
        _endings = new Regex(endings, RegexOptions.CultureInvariant);
        Phrases = [.. Split(phrases).Select(phrase => phrase.Select(character => character.ToString()).ToArray())];
        UnlessAfter = Split(unlessAfter).GroupBy(pair => pair[1].ToString(), pair => pair[0].ToString()).ToDictionary(pairs => pairs.Key, pairs => pairs.ToArray());
        Classes = classes;
    }

    /// <summary>The list of a language (BCP 47); null where there is none.</summary>
    public static GenderedWords? For(string language) =>
        Tokenizer.SameLanguage(language, "en") ? English : Tokenizer.SameLanguage(language, "de") ? German : Tokenizer.SameLanguage(language, "zh") ? Chinese : null;

    /// <summary>Whether a lower-cased word states a sex, by itself.</summary>
    public bool Contains(string word) => _words.Contains(word) || (_endings.IsMatch(word) && !_others.Contains(word));

    /// <summary>The gendered words and phrases among the lower-cased words of a caption.</summary>
    public IEnumerable<string> In(IReadOnlyList<string> words)
    {
        for (int i = 0; i < words.Count; i++)
        {
            if (Contains(words[i]) && !(i > 0 && UnlessAfter.TryGetValue(words[i], out string[]? before) && before.Contains(words[i - 1])))
                yield return words[i];
            foreach (string[] phrase in Phrases)
            {
                if (words.Skip(i).Take(phrase.Length).SequenceEqual(phrase))
                    yield return string.Concat(phrase);
            }
        }
    }

    private static string[] Split(string words) => words.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static WordClass Class(string givenUp, string instead, string onlyAfter = "", string notAfter = "", bool first = false) =>
        new(Split(givenUp), Split(instead), [.. Split(onlyAfter), .. first ? [""] : Array.Empty<string>()], Split(notAfter));

    private static readonly GenderedWords English = new(
        "he him his himself she her hers herself male males female females guy guys dude dudes lad lads gal gals son sons grandson grandsons brother brothers sister sisters "
        + "mom moms mum mums mommy dad dads daddy grandma grandpa husband husbands wife wives bride brides groom grooms uncle uncles aunt aunts nephew niece king kings queen queens "
        + "prince princes princess princesses actress actresses waitress waitresses hostess stewardess heroine ballerina ballerinas monk monks nun nuns mr mrs ms sir madam widow "
        + "boyfriend boyfriends girlfriend girlfriends masculine feminine",
        "(man|men|boys?|girls?|lady|ladies|mothers?|fathers?|daughters?|maids?)$",
        "human german roman norman ottoman doberman talisman caiman shaman snowman snowmen superman batman spiderman spider-man hartman "
        + "abdomen specimen omen regimen ramen stamen yemen smother mermaid mermaids",
        "", "",
        Class("man woman guy lady gentleman dude policeman fireman fisherman cowboy cowgirl businessman bride groom", "person"),
        Class("men women guys ladies gentlemen policemen firemen", "people adults"),
        Class("boy girl son daughter brother sister", "child kid toddler", notAfter: "baby"),
        Class("boys girls sons daughters brothers sisters", "children kids"),
        Class("father mother dad mom", "parent person"),
        Class("his her", "their its"), Class("he she", "they it"), Class("him", "them it"));

    private static readonly GenderedWords German = new(
        "er ihm ihn sie ihr ihre ihrem ihren ihrer ihres sein seine seinem seinen seiner seines herr herrn herren kerl kerle typ typen bursche burschen junge jungen jungs bub buben "
        + "opa oma papa mama onkel tante neffe nichte bräutigam braut bräute brautjungfern könig könige prinz prinzen prinzessin prinzessinnen mönch mönche nonne nonnen "
        + "cowboy cowboys freund herrchen frauchen männchen weibchen boy boys girl girls lady ladies ballerina söhnen söhne sohnes hündin",
        "(mann|mannes|männer|männern|frau|frauen|mädchens?|damen?|mutter|mütter|müttern|vater|vaters|väter|vätern|sohn|töchtern?|tochter|brüdern?|bruder|schwestern?"
        + "|.junge|jungs|girls?|(er|ist|iat|ent|ant|nd|el|eg|ig|zt)in(nen)?|(männ|weib)lich(e[mnrs]?)?)$",
        "schneemann weihnachtsmann dobermann perlmutter hierin herin",
        "", "",
        Class("mann herr kerl typ", "mensch menschen erwachsener erwachsenen"),
        Class("frau dame", "person"),
        Class("männer männern frauen damen herren", "menschen personen leute leuten erwachsene"),
        Class("mädchen", "kind kinder kindern"),
        Class("junge bub", "kind", onlyAfter: "ein einem das dem", first: true),
        Class("jungen jungs buben", "kinder", onlyAfter: "zwei drei vier fünf sechs 2 3 4 5 einige mehrere viele kleine andere"));

    private static readonly GenderedWords Chinese = new(
        "男 女 他 她 夫 妻 妇 娘 爷 爸 妈 爹 哥 姐 妹 弟 姑 郎 叔 伯 舅 姨 婆 嫂 父 母 兄 婿 媳 姥",
        "(?!)", "",
        "老奶 奶奶 儿子 先生 公主 老头 老太 和尚 大汉 浪汉 老汉 壮汉 汉子 小伙",
        "吉他 其他 尔夫 功夫 拉伯",
        Class("男 女 姑 妇 爷", "人 孩", notAfter: "名 位 对 美 帅"));
}
