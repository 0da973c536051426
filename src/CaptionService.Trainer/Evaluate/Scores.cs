using CaptionService.Captioning.Metrics;

namespace CaptionService.Trainer.Evaluate;

/// <summary>Scores of searched captions over a split.</summary>
/// <param name="Bleu">BLEU-1 to BLEU-4 of the corpus, 0..1.</param>
/// <param name="Cider">CIDEr as the COCO evaluation reports it, 0..10.</param>
/// <param name="RougeL">0..1.</param>
/// <param name="Length">Words a caption.</param>
/// <param name="Distinct">Different captions over photos, 0..1.</param>
/// <param name="Verbatim">Share of captions that stand word for word in the training set, 0..1.</param>
/// <param name="Unended">Captions cut at the greatest length.</param>
/// <param name="Captions">The captions, one a photo in order, tokenised.</param>
/// <param name="PhotoCider">CIDEr of each, 0..10; of one source, their mean is <paramref name="Cider"/>.</param>
/// <param name="Variety">How the captions of a photo differ, where several of each were searched.</param>
public sealed record Scores(double[] Bleu, double Cider, double RougeL, double Length, double Distinct, double Verbatim, int Unended,
    IReadOnlyList<IReadOnlyList<string>> Captions, IReadOnlyList<double> PhotoCider, Variety? Variety = null)
{
    /// <summary>The captions as the model writes them, with its capitals: for people to read.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Written { get; init; } = [];

    /// <summary>The figures by name, for events and model cards.</summary>
    public IReadOnlyDictionary<string, double> Figures => new Dictionary<string, double>
    {
        ["bleu1"] = Bleu[0],
        ["bleu2"] = Bleu[1],
        ["bleu3"] = Bleu[2],
        ["bleu4"] = Bleu[3],
        ["cider"] = Cider,
        ["rougeL"] = RougeL,
        ["length"] = Length,
        ["distinct"] = Distinct,
        ["verbatim"] = Verbatim,
        ["unended"] = Unended,
    };

    /// <summary>The mean over sources, each counting the same; the captions of all.</summary>
    public static Scores Mean(IReadOnlyList<Scores> sources) => sources is [var one] ? one : new Scores(
        [.. Enumerable.Range(0, 4).Select(n => sources.Average(s => s.Bleu[n]))], sources.Average(s => s.Cider), sources.Average(s => s.RougeL), sources.Average(s => s.Length),
        sources.Average(s => s.Distinct), sources.Average(s => s.Verbatim), sources.Sum(s => s.Unended),
        [.. sources.SelectMany(s => s.Captions)], [.. sources.SelectMany(s => s.PhotoCider)])
    { Written = [.. sources.SelectMany(s => s.Written)] };

    /// <summary>One line, in the percent that papers use.</summary>
    public override string ToString() =>
        $"B-1..4 {string.Join(' ', Bleu.Select(b => (100 * b).ToString("F1")))}  CIDEr {100 * Cider:F1}  ROUGE-L {100 * RougeL:F1}  " +
        $"length {Length:F1}  distinct {100 * Distinct:F1} %  verbatim {100 * Verbatim:F1} %  unended {Unended}{(Variety is null ? "" : $"\n{Variety}")}";
}

/// <summary>How the captions of a photo differ from each other, as means over photos.</summary>
/// <param name="Count">Captions a photo.</param>
/// <param name="Words">Different words over all words of a photo's captions, 0..1.</param>
/// <param name="Pairs">Different pairs of words over all pairs, 0..1.</param>
/// <param name="PairCider">CIDEr of each caption against each other, 0 (nothing in common) to 10 (all the same).</param>
/// <param name="BestCider">CIDEr of the best of a photo's captions, 0..10.</param>
/// <param name="MeanCider">CIDEr of all of them, 0..10.</param>
public sealed record Variety(double Count, double Words, double Pairs, double PairCider, double BestCider, double MeanCider)
{
    internal static Variety Of(IReadOnlyList<IReadOnlyList<string>[]> sets, IReadOnlyList<string>[][] references, Cider<string> cider)
    {
        double[][] scores = [.. sets.Select((set, i) => set.Select(caption => cider.Score(caption, references[i])).ToArray())];
        return new Variety(
            sets.Average(set => set.Length),
            sets.Average(set => Different(set.SelectMany(caption => caption))),
            sets.Average(set => Different(set.SelectMany(caption => caption.Zip(caption.Skip(1))))),
            sets.Average(set => set.SelectMany((one, i) => set.Where((_, j) => j != i).Select(other => cider.Score(one, [other]))).DefaultIfEmpty().Average()),
            scores.Average(photo => photo.Max()),
            scores.Average(photo => photo.Average()));
    }

    private static double Different<T>(IEnumerable<T> items)
    {
        T[] all = [.. items];
        return all.Length == 0 ? 1 : (double)all.Distinct().Count() / all.Length;
    }

    /// <summary>One line, in percent.</summary>
    public override string ToString() =>
        $"of {Count:F1} captions a photo: different words {100 * Words:F1} %, pairs {100 * Pairs:F1} %  CIDEr among them {100 * PairCider:F1}, best {100 * BestCider:F1}, mean {100 * MeanCider:F1}";
}
