namespace CaptionService.Benchmarks;

/// <summary>People's captions with gendered words replaced one by one, to compare alt text with: by tables, since nobody reads them.</summary>
internal static class NeutralReference
{
    private static readonly Dictionary<string, string> s_english = Table(
        "man person woman person guy person lady person gentleman person male person female person men people women people guys people ladies people males people females people boy child girl child "
        + "boys children girls children his their her their he they she they him them himself themselves herself themselves mother parent father parent mom parent dad parent son child daughter child "
        + "brother child sister child brothers children sisters children bride person groom person policeman person fireman person fisherman person cowboy person cameraman person");

    private static readonly Dictionary<string, string> s_german = Table(
        "mannes menschen frau person dame person frauen personen damen personen männer menschen männern menschen herren menschen jungs kinder buben kinder mutter person vater mensch sohn kind tochter kind bruder kind schwester kind");

    private static readonly Dictionary<string, string> s_neuter = Table("einen ein der das den das kleiner kleines kleinen kleines junger junges jungen junges blonder blondes blonden blondes anderer anderes");

    public static string[] Of(string language, string[] words) => language switch
    {
        "en" => Array.ConvertAll(words, word => s_english.GetValueOrDefault(word, word)),
        "de" => German(words),
        _ => Chinese(words),
    };

    private static string[] German(string[] words)
    {
        string[] result = [.. words];
        for (int i = 0; i < words.Length; i++)
        {
            string before = i > 0 ? words[i - 1] : "";
            bool noun = i + 1 == words.Length || words[i + 1] is not ("frau" or "frauen" or "mann" or "männer" or "leute" or "dame" or "hunde" or "hund" or "menschen" or "mädchen" or "person" or "personen");
            bool many = before is "zwei" or "drei" or "vier" or "fünf" or "2" or "3" or "4" or "mehrere" or "einige" or "die" or "andere" or "kleine" or "junge" or "viele";
            result[i] = words[i] switch
            {
                "mann" or "herr" => before.EndsWith("en", StringComparison.Ordinal) || before.EndsWith("em", StringComparison.Ordinal) ? "menschen" : "mensch",
                "mädchen" => many ? "kinder" : "kind",
                "jungen" when many && noun => "kinder",
                "junge" or "jungen" or "bub" when noun && before != "eine" => Neuter(i),
                var word => s_german.GetValueOrDefault(word, word),
            };
        }
        return result;

        // A boy is masculine, a child is not: the article and what stands between go with it.
        string Neuter(int noun)
        {
            int from = noun - 1;
            while (from > 0 && words[from] is not ("ein" or "einen" or "einem" or "der" or "den" or "dem") && noun - from < 3)
                from--;
            bool dative = from >= 0 && words[from] is "einem" or "dem";
            for (int i = Math.Max(0, from); i < noun && !dative; i++)
                result[i] = s_neuter.GetValueOrDefault(words[i], words[i]);
            return "kind";
        }
    }

    // A character is a word: 男人, 男子 → 人; 男孩 → 孩.
    private static string[] Chinese(string[] words)
    {
        string text = string.Join(' ', words);
        foreach ((string gendered, string instead) in ((string, string)[])
            [("美 女", "人"), ("帅 哥", "人"), ("男 人", "人"), ("女 人", "人"), ("男 子", "人"), ("女 子", "人"), ("男 士", "人"), ("女 士", "人"), ("男 生", "人"), ("女 生", "人"), ("男 的", "人"), ("女 的", "人"),
            ("男 孩", "孩"), ("女 孩", "孩"), ("姑 娘", "孩"), ("爷 爷", "人"), ("奶 奶", "人"), ("妇 女", "人"), ("男 女", "人"), ("男", "人"), ("女", "人"), ("名 人", "个 人")])
        {
            text = text.Replace(gendered, instead, StringComparison.Ordinal);
        }
        return text.Split(' ');
    }

    private static Dictionary<string, string> Table(string pairs) => pairs.Split(' ').Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);
}
