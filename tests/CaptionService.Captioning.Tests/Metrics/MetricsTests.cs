using System.Text.Json;
using CaptionService.Captioning.Metrics;
using Xunit;

namespace CaptionService.Captioning.Tests.Metrics;

/// <summary>The metrics against 200 invented captions scored by the public COCO caption evaluation code.</summary>
public sealed class MetricsTests
{
    private const double Tolerance = 1e-6;

    private static readonly JsonDocument Golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "caption-metrics.json")));
    private static readonly JsonElement[] Items = Golden.RootElement.GetProperty("items").EnumerateArray().ToArray();
    private static readonly string[][] Hypotheses = Items.Select(item => Words(item.GetProperty("hypothesis"))).ToArray();
    private static readonly string[][][] References = Items.Select(item => item.GetProperty("references").EnumerateArray().Select(Words).ToArray()).ToArray();
    private static readonly Cider<string> Cider = new(References);

    [Fact]
    public void Each_caption_scores_as_in_the_golden_file()
    {
        Assert.Equal(200, Items.Length);
        for (int i = 0; i < Items.Length; i++)
        {
            JsonElement scores = Items[i].GetProperty("scores");
            double[] bleu = Bleu.Sentence(Hypotheses[i], References[i]);
            Assert.Equal(scores.GetProperty("bleu1").GetDouble(), bleu[0], Tolerance);
            Assert.Equal(scores.GetProperty("bleu4").GetDouble(), bleu[3], Tolerance);
            Assert.Equal(scores.GetProperty("cider").GetDouble(), Cider.Score(Hypotheses[i], References[i]), Tolerance);
            Assert.Equal(scores.GetProperty("rougeL").GetDouble(), RougeL.Score(Hypotheses[i], References[i]), Tolerance);
        }
    }

    [Fact]
    public void The_whole_set_scores_as_in_the_golden_file()
    {
        JsonElement corpus = Golden.RootElement.GetProperty("corpus");
        double[] bleu = Bleu.Corpus(Hypotheses, References);
        for (int n = 1; n <= 4; n++)
            Assert.Equal(corpus.GetProperty($"bleu{n}").GetDouble(), bleu[n - 1], Tolerance);
        Assert.Equal(corpus.GetProperty("cider").GetDouble(), Hypotheses.Zip(References, Cider.Score).Average(), Tolerance);
        Assert.Equal(corpus.GetProperty("rougeL").GetDouble(), Hypotheses.Zip(References, RougeL.Score).Average(), Tolerance);
    }

    [Fact]
    public void Ids_score_as_words_do()
    {
        Dictionary<string, int> ids = [];
        int[] Ids(string[] words) => Array.ConvertAll(words, word => ids.TryGetValue(word, out int id) ? id : ids[word] = ids.Count);
        int[][] hypotheses = Array.ConvertAll(Hypotheses, Ids);
        int[][][] references = Array.ConvertAll(References, photo => Array.ConvertAll(photo, Ids));
        var cider = new Cider<int>(references);
        for (int i = 0; i < hypotheses.Length; i++)
            Assert.Equal(Cider.Score(Hypotheses[i], References[i]), cider.Score(hypotheses[i], references[i]), 1e-12);
        Assert.Equal(Bleu.Corpus(Hypotheses, References), Bleu.Corpus(hypotheses, references));
    }

    [Fact]
    public void Only_cider_d_counts_repetition_and_length_against_a_caption()
    {
        string[][][] references = [["a b c d".Split(' ')], ["e f g h".Split(' ')]];
        var cider = new Cider<string>(references);
        string[] same = references[0][0], longer = "a b c d a b c d".Split(' ');

        Assert.Equal(10, cider.Score(same, references[0]), 1e-12);
        Assert.Equal(10, cider.PlainScore(same, references[0]), 1e-12);
        // Each unigram twice: the direction is the same, so the plain cosine of unigrams stays 1. Of 2-, 3- and 4-grams
        // the reference's 3, 2, 1 occur twice, beside 1, 2, 3 that it does not have.
        double cosines = 1 + 6 / Math.Sqrt(3 * 13) + 4 / Math.Sqrt(2 * 10) + 2 / Math.Sqrt(1 * 7);
        Assert.Equal(10 * cosines / 4, cider.PlainScore(longer, references[0]), 1e-12);
        // Clipped to the reference's counts each product is half; lengths differ by 4.
        Assert.Equal(10 * cosines / 8 * Math.Exp(-16 / 72.0), cider.Score(longer, references[0]), 1e-12);
    }

    [Fact]
    public void An_empty_caption_scores_nothing()
    {
        Assert.Equal(0, Cider.Score([], References[0]));
        Assert.Equal(0, RougeL.Score([], References[0]));
        Assert.All(Bleu.Sentence([], References[0]), score => Assert.Equal(0, score, Tolerance));
    }

    [Fact]
    public void No_references_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Cider.Score(Hypotheses[0], []));
        Assert.Throws<ArgumentException>(() => RougeL.Score(Hypotheses[0], []));
        Assert.Throws<ArgumentException>(() => Bleu.Sentence(Hypotheses[0], []));
        Assert.Throws<ArgumentException>(() => Bleu.Corpus(Hypotheses, References[..5]));
    }

    private static string[] Words(JsonElement text) => text.GetString()!.Split(' ');
}
