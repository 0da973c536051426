using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Ranking;

public sealed class MinimumBayesRiskTests
{
    private static RankedHypothesis Of(double p, bool ended, params int[] words) => new(new Hypothesis(words, new float[words.Length], Math.Log(p), Math.Log(p), ended, new int[words.Length]));

    [Fact]
    public void Agreement_is_the_weighted_mean_of_common_ngrams()
    {
        // Weights 1, 0.8 and 0.6 relative to the likeliest, a hypothesis' own times 0.3.
        var ranked = MinimumBayesRisk.Rank([Of(1 * 0.001, true, 4, 5, 10), Of(0.64 * 0.001, true, 6, 7, 8), Of(0.36 * 0.001, true, 6, 7, 9)], 3);
        // The second and third share two words of six and one pair of four; the first shares nothing.
        double similar = (2 * 2 / 6.0 + 2 * 1 / 4.0) / 4;
        Assert.Equal([0.3 / (0.3 + 1.4), (0.24 + 0.6 * similar) / (0.24 + 1.6), (0.18 + 0.8 * similar) / (0.18 + 1.8)], ranked.OrderByDescending(h => h.LogProbability).Select(h => h.Agreement), (x, y) => Math.Abs(x - y) < 1e-9);
        Assert.Equal(ranked.Select(h => h.Agreement).OrderDescending(), ranked.Select(h => h.Agreement));
    }

    [Fact]
    public void What_is_expected_counts_and_each_word_costs_as_the_weights_say()
    {
        // Nothing in common and equally likely: the agreement of each is the same.
        RankedHypothesis[] found = [Of(0.001, true, 4, 5, 6) with { Expected = 0.1 }, Of(0.001, true, 7, 8, 9, 10) with { Expected = 0.2 }, Of(0.001, true, 11, 12) with { Expected = 0.05 }];
        int[] Lengths(RankingWeights weights) => [.. MinimumBayesRisk.Rank([.. found], 3, weights).Select(h => h.Words.Length)];
        Assert.Equal([3, 4, 2], Lengths(default));
        Assert.Equal([4, 3, 2], Lengths(new RankingWeights(10, 0)));
        Assert.Equal([2, 3, 4], Lengths(new RankingWeights(10, 2)));
        Assert.Equal([4, 3, 2], MinimumBayesRisk.Order(MinimumBayesRisk.Rank([.. found], 3), new RankingWeights(10, 0.4)).Select(h => h.Words.Length));
    }

    [Fact]
    public void A_model_that_is_sure_keeps_its_order()
    {
        // Two captions learnt by heart, and blends of the first; then the same where much else might be said.
        RankedHypothesis[] Found(double p) => [Of(0.45 * p, true, 4, 5, 6, 7), Of(0.44 * p, true, 8, 9, 11, 12), Of(0.05 * p, true, 4, 5, 6, 10), Of(0.05 * p, true, 4, 5, 6, 11)];
        Assert.Equal(Found(1).Select(h => h.Words), MinimumBayesRisk.Rank([.. Found(1)], 4).Select(h => h.Words));
        Assert.NotEqual([4, 5, 6, 7], MinimumBayesRisk.Rank([.. Found(0.001)], 4)[0].Words);
    }

    [Fact]
    public void What_most_resemble_goes_before_the_likeliest_and_what_ended_before_what_was_cut()
    {
        var alone = Of(0.001, true, 4, 5, 6);
        var one = Of(0.0009, true, 10, 11, 12);
        var other = Of(0.0009, true, 10, 11, 13);
        var third = Of(0.0009, true, 10, 11, 14);
        var cut = Of(0.005, false, 10, 11, 12, 13);
        var ranked = MinimumBayesRisk.Rank([alone, one, other, third, cut], 5);
        Assert.Same(alone.Words, ranked[3].Words);
        Assert.Same(cut.Words, ranked[4].Words);
        Assert.Equal([one.Words, other.Words], MinimumBayesRisk.Rank([alone, one, other, third, cut], 2).Select(h => h.Words));
        Assert.Empty(MinimumBayesRisk.Rank([], 3));
    }

    [Fact]
    public void A_search_ranked_so_finds_the_whole_width_in_another_order()
    {
        // Ten words; what is said next depends on the word before.
        using var scope = NewDisposeScope();
        manual_seed(3);
        var table = randn(10, 10).times(2).log_softmax(-1);
        DecodeStep step = (words, _, _) => table.index_select(0, words.view(-1)).view(words.shape[0], words.shape[1], 10);
        var options = new BeamSearchOptions { Width = 6, Count = 6, MaxLength = 8 };
        IReadOnlyList<RankedHypothesis> Found(BeamSearchOptions beams, bool byRisk, Expectation? expectation = null) => new RankedSearch(beams, byRisk).Run(1, step, CPU, expectation)[0];
        var plain = Found(options, byRisk: false);
        var ranked = Found(options, byRisk: true);
        Assert.Equal(plain.Select(Words).Order(), ranked.Select(Words).Order());
        Assert.Equal(ranked.Where(h => h.Ended).Select(h => h.Agreement).OrderDescending(), ranked.Where(h => h.Ended).Select(h => h.Agreement));
        Assert.All(plain, h => Assert.Equal(0, h.Agreement));
        // Fewer are the first of them.
        Assert.Equal(ranked.Take(2).Select(Words), Found(options with { Count = 2 }, byRisk: true).Select(Words));
        Assert.Throws<ArgumentOutOfRangeException>(() => Found(options with { Groups = 2 }, byRisk: true));
        Assert.False(new RankedSearch(options, true).Diverse(0.5).ByRisk);

        // What is expected is known of every hypothesis; by likelihood it guides nothing.
        var expected = new Expectation(new Guide((_, word) => new Dictionary<int, float> { [(word + 1) % 10] = 2 }, 0.25f), (_, words) => words.Sum() % 7, new RankingWeights(0.5, 0.01));
        var guided = Found(options, byRisk: true, expected);
        Assert.NotEqual(plain.Select(Words).Order(), guided.Select(Words).Order());
        Assert.All(guided, h => Assert.Equal(h.Words.Sum() % 7, h.Expected));
        Assert.Equal(MinimumBayesRisk.Order(guided, expected.Weights), guided);
        var never = expected with { Guide = new Guide((_, _) => throw new InvalidOperationException(), 1) };
        Assert.Equal(plain.Select(h => h.Score), Found(options, byRisk: false, never).Select(h => h.Score));

        static string Words(Hypothesis h) => string.Join(' ', h.Words);
    }
}
