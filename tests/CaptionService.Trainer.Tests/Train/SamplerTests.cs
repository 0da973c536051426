using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Train;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

public sealed class SamplerTests
{
    private const int Top = 6;

    private static CaptionDecoder Small()
    {
        manual_seed(3);
        var decoder = CaptionDecoder.Create(new DecoderOptions { VocabularySize = 14, Embedding = 6, Hidden = 8, Heads = 2, FeatureSize = 7 });
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var parameter in decoder.parameters())
            parameter.copy_(parameter.times(3));                  // far from uniform
        return decoder;
    }

    // The frequency of every caption of up to two words against its probability among the most probable words.
    [Fact]
    public void Captions_are_drawn_as_often_as_they_are_probable()
    {
        using var scope = NewDisposeScope();
        using var decoder = Small();
        using var frozen = decoder.Freeze(ScalarType.Float32);
        manual_seed(11);
        var features = randn(3, 196, 7).relu_();
        const int Draws = 20_000;
        manual_seed(1);
        var drawn = Sampler.Draw(frozen, features, Draws, Top, maxLength: 2);
        Assert.All(drawn.SelectMany(d => d), c => Assert.InRange(c.Words.Length, 1, 2));

        for (int photo = 0; photo < 3; photo++)
        {
            var found = drawn[photo].CountBy(c => string.Join(' ', c.Words) + (c.Ended ? " ." : "")).ToDictionary();
            double total = 0;
            foreach (var (first, p1) in Next(frozen, features, photo, []))
            {
                foreach (var (second, p2) in Next(frozen, features, photo, [first]))
                {
                    // Two words are the greatest length: a third step, which would end them, is not made.
                    string caption = second == Vocabulary.End ? $"{first} ." : $"{first} {second}";
                    double p = p1 * p2, sigma = Math.Sqrt(p * (1 - p) / Draws);
                    total += p;
                    Assert.InRange((double)found.GetValueOrDefault(caption) / Draws, p - 5 * sigma - 1e-4, p + 5 * sigma + 1e-4);
                }
            }
            Assert.Equal(1, total, 1e-4);
        }
    }

    [Fact]
    public void Dropout_is_at_work_in_sampling_only()
    {
        using var scope = NewDisposeScope();
        using var decoder = Small();
        decoder.Dropout = 0.5;
        using FrozenDecoder plain = decoder.Freeze(ScalarType.Float32), dropping = decoder.FreezeForSampling(ScalarType.Float32);
        decoder.Dropout = 0;
        using var same = decoder.FreezeForSampling(ScalarType.Float32);
        var features = randn(1, 196, 7).relu_();
        Tensor First(FrozenDecoder frozen)
        {
            using var state = frozen.Start(features);
            return state.Step(tensor(new long[,] { { Vocabulary.Start } }), null, null);
        }
        Assert.True(First(same).equal(First(plain)).all().item<bool>());
        Assert.False(First(dropping).allclose(First(dropping)));

        // Over many draws the network with dropout says what the one without says, roughly: the weights are the same.
        var mean = stack([.. Enumerable.Range(0, 3000).Select(_ => First(dropping).exp())]).mean([0L]);
        Assert.True(mean.sub(First(plain).exp()).abs().max().item<float>() < 0.15f);
    }

    [Fact]
    public void A_draw_leaves_no_tensor_behind()
    {
        using var decoder = Small();
        using var frozen = decoder.FreezeForSampling(ScalarType.Float32);
        using var features = zeros(2, 196, 7);
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        Sampler.Draw(frozen, features, 4, Top, 5);
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    /// <summary>The words that may follow, with their probabilities among the most probable.</summary>
    private static (int Word, double P)[] Next(FrozenDecoder frozen, Tensor features, int photo, int[] words)
    {
        using var scope = NewDisposeScope();
        using var state = frozen.Start(features.narrow(0, photo, 1));
        var logP = state.Step(tensor(new long[,] { { Vocabulary.Start } }), null, null);
        foreach (int word in words)
            logP = state.Step(tensor(new long[,] { { word } }), null, zeros(1, 1, ScalarType.Int64));
        int[] never = words.Length == 0 ? [0, 1, 2, 3] : [0, 1, 3];
        var best = logP.view(-1).data<float>().ToArray().Select((p, word) => (Word: word, P: Math.Exp(p)))
            .Where(c => !never.Contains(c.Word)).OrderByDescending(c => c.P).Take(Top).ToArray();
        return [.. best.Select(c => (c.Word, c.P / best.Sum(b => b.P)))];
    }
}
