using System.Text.RegularExpressions;

namespace CaptionService.Api.Datasets;

/// <summary>BCP 47 tags as people write them, brought into one form: <c>de_DE</c>, <c>DE</c> and <c>deu</c> are <c>de</c>.</summary>
internal static partial class LanguageTag
{
    // ISO 639-2 (both of its forms, where it has two) and ISO 639-1: 183 languages.
    private const string Terminological =
        "aar:aa abk:ab afr:af aka:ak amh:am ara:ar arg:an asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm bel:be ben:bn bis:bi "
        + "bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr cym:cy dan:da deu:de div:dv "
        + "dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff gla:gd gle:ga glg:gl "
        + "glv:gv grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu ile:ie "
        + "ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki kin:rw kir:ky "
        + "kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mah:mh mal:ml mar:mr "
        + "mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no "
        + "nya:ny oci:oc oji:oj ori:or orm:om oss:os pan:pa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro run:rn rus:ru sag:sg "
        + "san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw "
        + "swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk "
        + "urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zho:zh zul:zu";

    private const string Bibliographic =
        "ger:de fre:fr chi:zh dut:nl cze:cs gre:el per:fa rum:ro slo:sk alb:sq arm:hy baq:eu bur:my geo:ka ice:is mac:mk mao:mi "
        + "may:ms tib:bo wel:cy";

    private static readonly Dictionary<string, string> s_byThree = $"{Terminological} {Bibliographic}".Split(' ').ToDictionary(pair => pair[..3], pair => pair[4..]);
    private static readonly HashSet<string> s_byTwo = [.. s_byThree.Values];

    /// <summary>As <see cref="Canonical"/>, of what a caller gave.</summary>
    /// <exception cref="ProblemException">It is no tag.</exception>
    public static string Read(string tag) => Canonical(tag)
        ?? throw new ProblemException(ProblemTable.InvalidOption, $"The language '{tag.Quoted()}' is no tag such as en, de or zh-Hans.");

    /// <summary>A tag's language, and its script where it has one: <c>zh-Hans</c>. A region says nothing of how captions are written.</summary>
    /// <returns>null where it is no tag, or names no language of ISO 639.</returns>
    public static string? Canonical(string tag)
    {
        if (!Tag().IsMatch(tag))
            return null;
        string[] parts = tag.Split('-', '_');
        string language = parts[0].ToLowerInvariant();
        language = s_byThree.GetValueOrDefault(language, language);
        if (!s_byTwo.Contains(language))
            return null;
        string? script = parts.Skip(1).FirstOrDefault(part => part.Length == 4 && part.All(char.IsAsciiLetter));
        return script is null ? language : $"{language}-{char.ToUpperInvariant(script[0])}{script[1..].ToLowerInvariant()}";
    }

    [GeneratedRegex("^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}$")]
    private static partial Regex Tag();
}
