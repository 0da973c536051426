using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using static CaptionService.Trainer.Inspect.DatasetInspection;

namespace CaptionService.Trainer.Inspect;

/// <summary>Findings about the captions of a data set and their words.</summary>
internal sealed class CaptionFindings(Tokenizer tokenizer, string language, List<DatasetFinding> findings)
{
    private const double ManyIdentical = 0.1;       // share of captions; 0.6 % in Flickr8k

    private static readonly TrainingOptions s_defaults = new();

    public (ReportedCaptions, ReportedWords) Look(IReadOnlyDictionary<string, List<string>> captions, string[] usable, List<string> train, int found)
    {
        HashSet<string> training = [.. train];
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var sentences = new Dictionary<string, int>(StringComparer.Ordinal);
        var lengths = new List<int>();
        List<string> other = [], fileNames = [], longOnes = [], shortOnes = [];
        foreach (string name in usable)
        {
            foreach (string caption in captions[name])
            {
                var words = tokenizer.Tokenize(caption);
                string sentence = string.Join(' ', words), example = $"{name}: {Cut(caption)}";
                sentences[sentence] = sentences.GetValueOrDefault(sentence) + 1;
                lengths.Add(words.Count);
                if (LanguageGuess.IsFileName(caption))
                    fileNames.Add(example);
                else if (LanguageGuess.IsOther(words, language))
                    other.Add(example);
                if (words.Count > s_defaults.MaxCaptionWords)
                    longOnes.Add(example);
                if (words.Count < 3)
                    shortOnes.Add(example);
                if (training.Contains(name))
                    foreach (string word in words)
                        counts[word] = counts.GetValueOrDefault(word) + 1;
            }
        }
        lengths.Sort();
        int repeated = sentences.Values.Where(n => n > 1).Sum(), total = counts.Values.Sum();
        double identical = lengths.Count == 0 ? 0 : (double)repeated / lengths.Count;
        var rare = counts.Where(w => w.Value < s_defaults.MinWordCount).Select(w => w.Key).Order(StringComparer.Ordinal).ToArray();
        double rareShare = total == 0 ? 0 : (double)rare.Sum(w => counts[w]) / total;

        if (fileNames.Count > 0)
            Warn("file_name_captions", fileNames, $"{Count(fileNames.Count, "caption")} look{S(fileNames)} like a file name or a number. A model would learn to write those.");
        if (other.Count > 0)
            Warn("other_language", other, $"{Count(other.Count, "caption")} look{S(other)} like another language than '{language}'. Check the language of the data set, or take them out.");
        if (identical > ManyIdentical)
            Warn("identical_captions", [.. sentences.Where(s => s.Value > 1).OrderByDescending(s => s.Value).Select(s => $"{s.Value} × {Cut(s.Key)}")], repeated,
                $"{100 * identical:F0} % of the captions are word for word the same as another: a model learns to say these of every photo.");
        if (longOnes.Count > 0)
            Warn("long_captions", longOnes, $"{Count(longOnes.Count, "caption")} {(longOnes.Count == 1 ? "has" : "have")} more than {s_defaults.MaxCaptionWords} words; the rest is not learnt (option maxCaptionWords).");
        if (shortOnes.Count > 0)
            Add("short_captions", FindingSeverity.Info, shortOnes, shortOnes.Count, $"{Count(shortOnes.Count, "caption")} {(shortOnes.Count == 1 ? "has" : "have")} only one word or two.");
        if (rare.Length == counts.Count && counts.Count > 0)
            Warn("no_learnable_words", [.. rare], $"No word comes {s_defaults.MinWordCount} times in the training captions: train from a model that is there, which keeps its words (preset quick), or set the option minWordCount lower.");
        else if (rare.Length > 0)
            Add("rare_words", rareShare > 0.1 ? FindingSeverity.Warning : FindingSeverity.Info, [.. rare], rare.Length,
                $"{Count(rare.Length, "word")} of {counts.Count} come{(rare.Length == 1 ? "s" : "")} fewer than {s_defaults.MinWordCount} times and will not be learnt; they are {100 * rareShare:F1} % of the text.");

        return (new ReportedCaptions(Math.Max(found, lengths.Count), lengths.Count, Round(usable.Length == 0 ? 0 : (double)lengths.Count / usable.Length),
                Round(lengths.Count == 0 ? 0 : lengths.Average()), lengths.Count == 0 ? 0 : lengths[lengths.Count / 2], lengths.LastOrDefault(), Math.Round(identical, 4)),
            new ReportedWords(total, counts.Count, counts.Count - rare.Length, s_defaults.MinWordCount, Math.Round(rareShare, 4)));
    }

    private void Warn(string code, List<string> all, string message) => Warn(code, all, all.Count, message);

    private void Warn(string code, List<string> all, int count, string message) => Add(code, FindingSeverity.Warning, all, count, message);

    private void Add(string code, FindingSeverity severity, List<string> all, int count, string message) =>
        findings.Add(DatasetFinding.Of(code, severity, all, message) with { Count = count });

    private static string S(List<string> all) => all.Count == 1 ? "s" : "";

    private static string Cut(string caption) => caption.Length <= 80 ? caption : caption[..79] + "…";

    private static double Round(double value) => Math.Round(value, 2);
}
