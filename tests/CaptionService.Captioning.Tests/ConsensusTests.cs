using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests;

public sealed class ConsensusTests
{
    private static Hypothesis Of(double p, bool ended, params int[] words) => new(words, new float[words.Length], Math.Log(p), 0, ended, new int[words.Length]);

    [Fact]
    public void Agreement_is_the_weighted_mean_of_common_ngrams()
    {
        // p 0.16, 0.04, 0.01: weights 1, 0.5 and 0.25 relative to the likeliest, a hypothesis' own times 0.3.
        var ranked = Consensus.Rank([Of(0.16, true, 4, 5), Of(0.04, true, 6, 7, 8), Of(0.01, true, 6, 7)], 3);
        // The second and third share two words of five and one pair of three; the first shares nothing.
        double similar = (2 * 2 / 5.0 + 2 * 1 / 3.0) / 4;
        Assert.Equal([0.3 / 1.05, (0.15 + 0.25 * similar) / (0.15 + 1 + 0.25), (0.075 + 0.5 * similar) / (0.075 + 1 + 0.5)], ranked.Select(h => h.Agreement), (a, b) => Math.Abs(a - b) < 1e-9);
        Assert.Equal([2, 3, 2], ranked.Select(h => h.Words.Length));
    }

    [Fact]
    public void What_most_resemble_goes_before_the_likeliest_and_what_ended_before_what_was_cut()
    {
        var alone = Of(0.1, true, 4, 5, 6);
        var one = Of(0.09, true, 10, 11, 12);
        var other = Of(0.09, true, 10, 11, 13);
        var third = Of(0.09, true, 10, 11, 14);
        var cut = Of(0.5, false, 10, 11, 12, 13);
        var ranked = Consensus.Rank([alone, one, other, third, cut], 5);
        Assert.Same(alone.Words, ranked[3].Words);
        Assert.Same(cut.Words, ranked[4].Words);
        Assert.Equal([one.Words, other.Words], Consensus.Rank([alone, one, other, third, cut], 2).Select(h => h.Words));
        Assert.Empty(Consensus.Rank([], 3));
    }

    [Fact]
    public void A_search_ranked_so_finds_the_whole_width_in_another_order()
    {
        // Ten words; what is said next depends on the word before.
        manual_seed(3);
        using var table = randn(10, 10).mul(2).log_softmax(-1);
        DecodeStep step = (words, _, _) => table.index_select(0, words.view(-1)).view(words.shape[0], words.shape[1], 10);
        var options = new BeamSearchOptions { Width = 6, Count = 6, MaxLength = 8 };
        var plain = BeamSearch.Search(1, options, step, CPU)[0];
        var ranked = BeamSearch.Search(1, options with { Consensus = true }, step, CPU)[0];
        Assert.Equal(plain.Select(Words).Order(), ranked.Select(Words).Order());
        Assert.Equal(ranked.Where(h => h.Ended).Select(h => h.Agreement).OrderDescending(), ranked.Where(h => h.Ended).Select(h => h.Agreement));
        Assert.All(plain, h => Assert.Equal(0, h.Agreement));
        // Fewer are the first of them.
        Assert.Equal(ranked.Take(2).Select(Words), BeamSearch.Search(1, options with { Consensus = true, Count = 2 }, step, CPU)[0].Select(Words));
        Assert.Throws<ArgumentOutOfRangeException>(() => BeamSearch.Search(1, options with { Consensus = true, Groups = 2 }, step, CPU));
        Assert.False((options with { Consensus = true }).Diverse(0.5).Consensus);

        static string Words(Hypothesis h) => string.Join(' ', h.Words);
    }
}
