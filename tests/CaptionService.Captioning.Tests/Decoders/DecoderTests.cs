using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Torch;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Decoders;

public sealed class DecoderTests
{
    public static TheoryData<string> Architectures => ["show-and-tell", "show-attend-and-tell", "top-down"];

    // Three photos with 2, 1 and 3 captions of unequal length.
    private static readonly int[][][] s_captions = [[[5, 6, 7], [8, 9, 10, 11, 5]], [[12]], [[4, 4, 4, 4], [6, 7], [13, 12, 11, 10, 9, 8]]];

    private static CaptionDecoder Small(string architecture, int seed = 3)
    {
        manual_seed(seed);
        var decoder = CaptionDecoder.Create(new DecoderOptions
        {
            Architecture = architecture,
            VocabularySize = 14,
            Embedding = 6,
            Hidden = 8,
            Heads = 2,
            Attention = 5,
            FeatureSize = 7,
        });
        decoder.eval();
        return decoder;
    }

    private static Tensor Features(int photos = 3)
    {
        manual_seed(11);
        return randn(photos, 196, 7).relu_();
    }

    [Theory, MemberData(nameof(Architectures))]
    public void Search_steps_give_the_log_probabilities_of_the_pass_over_whole_captions(string architecture)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var decoder = Small(architecture);
        using var packed = new PackedCaptions(s_captions, CPU);
        var logP = decoder.Logits(decoder.Forward(Features(), packed).Outputs).log_softmax(-1);        // (M, V)

        using var frozen = decoder.Freeze(ScalarType.Float32);
        long[] rowOf = packed.RowOfPosition.data<long>().ToArray(), words = packed.Words.data<long>().ToArray(), photos = packed.Photos.data<long>().ToArray();
        for (int row = 0; row < packed.Rows; row++)
        {
            using var state = frozen.Start(Features().narrow(0, photos[row], 1));
            Tensor? parents = null;
            foreach (int place in Enumerable.Range(0, rowOf.Length).Where(m => rowOf[m] == row))
            {
                var step = state.Step(tensor(new[] { words[place] }, [1, 1]), null, parents).view(-1);
                Assert.True(step.allclose(logP[place], 1e-4, 1e-5), $"{architecture}, row {row}, place {place}");
                parents = zeros(1, 1, ScalarType.Int64);
            }
        }
    }

    [Fact]
    public void Two_languages_share_every_weight_but_those_of_their_words()
    {
        using var decoder = Small("top-down");
        using (var other = decoder.ForWords(20))
        using (NewDisposeScope())
        {
            var mine = decoder.named_parameters().ToDictionary(p => p.name, p => p.parameter);
            var others = other.named_parameters().ToDictionary(p => p.name, p => p.parameter);
            Assert.Equal(mine.Keys.Order(), others.Keys.Order());
            Assert.Equal(["embedding.weight", "output_bias"], mine.Keys.Where(name => !ReferenceEquals(mine[name], others[name])).Order());
            Assert.Equal([20, 6], others["embedding.weight"].shape);
            Assert.Equal([20], others["output_bias"].shape);
            Assert.Equal(20, other.Options.VocabularySize);

            // What one learns, both know; each keeps its words.
            using var packed = new PackedCaptions(s_captions, CPU);
            var pass = other.Forward(Features(), packed);
            var logits = other.Logits(pass.Outputs);
            pass.Backward(logits, ones_like(logits));
            Assert.All(mine.Where(p => ReferenceEquals(p.Value, others[p.Key])), p => Assert.True(p.Value.grad!.abs().sum().item<float>() > 0, p.Key));
            Assert.NotNull(others["embedding.weight"].grad);
            Assert.Null(mine["embedding.weight"].grad);
            Assert.Null(mine["output_bias"].grad);
        }
        Assert.Throws<NotSupportedException>(() => Small("show-and-tell").ForWords(20));
    }

    [Theory, MemberData(nameof(Architectures))]
    public void A_state_follows_the_photos_and_beams_it_is_told_to(string architecture)
    {
        using var scope = NewDisposeScope();
        using var decoder = Small(architecture);
        using var frozen = decoder.Freeze(ScalarType.Float32);
        using var all = frozen.Start(Features());
        all.Step(ones(3, 1, ScalarType.Int64), null, null);
        all.Step(tensor(new long[] { 5, 6, 7, 8, 9, 10 }, [3, 2]), null, zeros(3, 2, ScalarType.Int64));
        // Photo 1 leaves; of photo 2 both beams go on from beam 1, which read 10.
        var after = all.Step(tensor(new long[] { 4, 5, 6, 7 }, [2, 2]), tensor(new long[] { 0, 2 }), tensor(new long[] { 0, 1, 1, 1 }, [2, 2]));

        using var alone = frozen.Start(Features().narrow(0, 2, 1));
        alone.Step(ones(1, 1, ScalarType.Int64), null, null);
        alone.Step(tensor(new long[,] { { 10 } }), null, zeros(1, 1, ScalarType.Int64));
        var expected = alone.Step(tensor(new long[,] { { 7 } }), null, zeros(1, 1, ScalarType.Int64));
        Assert.True(after[1, 1].allclose(expected.view(-1), 1e-4, 1e-5));
        if (decoder.Options.Attends)
        {
            Assert.Equal([4, 196], all.Attention!.shape);
            Assert.True(all.Attention!.sum(1).allclose(ones(4), 1e-4, 1e-5));
            Assert.True(all.Attention![3].allclose(alone.Attention![0], 1e-4, 1e-6));
        }
    }

    [Fact]
    public void Top_down_gradients_written_out_are_those_of_autograd()
    {
        using var scope = NewDisposeScope();
        using var decoder = (TopDown)Small("top-down");
        using var packed = new PackedCaptions(s_captions, CPU);
        var pass = decoder.Forward(Features(), packed);
        var logits = decoder.Logits(pass.Outputs);
        var leaf = logits.detach().requires_grad_(true);
        nn.functional.cross_entropy(leaf, packed.Targets).backward();
        pass.Backward(logits, leaf.grad!);
        var written = decoder.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone());

        decoder.zero_grad();
        var loss = PlainLoss(decoder, Features(), s_captions);
        loss.backward();
        Assert.True(Math.Abs(loss.item<float>() - nn.functional.cross_entropy(leaf, packed.Targets).item<float>()) < 1e-5);
        foreach (var (name, parameter) in decoder.named_parameters())
        {
            double difference = (written[name] - parameter.grad!).norm().item<float>() / Math.Max(parameter.grad!.norm().item<float>(), 1e-6);
            Assert.True(difference < 1e-4, $"{name}: relative difference {difference}");
            Assert.True(parameter.grad!.norm().item<float>() > 0, $"{name} has no gradient");
        }
    }

    /// <summary>The top-down network word by word and caption by caption, as the paper writes it, left to autograd.</summary>
    private static Tensor PlainLoss(TopDown d, Tensor features, int[][][] captions)
    {
        var losses = new List<Tensor>();
        for (int photo = 0; photo < captions.Length; photo++)
        {
            var places = d.norm.forward(features[photo]);                                  // (P, F)
            var keys = d.key.forward(places).view(196, 2, 4);
            var values = d.value.forward(places).view(196, 2, 4);
            foreach (int[] caption in captions[photo])
            {
                Tensor h1 = zeros(1, 8), c1 = zeros(1, 8), h2 = zeros(1, 8), c2 = zeros(1, 8);
                for (int t = 0; t <= caption.Length; t++)
                {
                    var word = d.embedding.forward(tensor(new long[] { t == 0 ? Vocabulary.Start : caption[t - 1] }));
                    (h1, c1) = Lstm(d.attention_lstm, cat([word, places.mean([0L]).unsqueeze(0), h2], 1), h1, c1);
                    var query = d.query.forward(h1).view(2, 4);
                    var heads = new List<Tensor>();
                    for (int head = 0; head < 2; head++)
                    {
                        var weights = keys.select(1, head).mv(query[head]).times(0.5).softmax(0);
                        heads.Add(values.select(1, head).t().mv(weights));
                    }
                    (h2, c2) = Lstm(d.language_lstm, cat([cat(heads).unsqueeze(0), h1], 1), h2, c2);
                    var logits = nn.functional.linear(d.output.forward(h2), d.embedding.weight!, d.output_bias);
                    losses.Add(nn.functional.cross_entropy(logits, tensor(new long[] { t == caption.Length ? Vocabulary.End : caption[t] })));
                }
            }
        }
        return stack(losses).mean();

        static (Tensor, Tensor) Lstm(LstmCell cell, Tensor x, Tensor h, Tensor c)
        {
            var gates = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).plus(nn.functional.linear(h, cell.weight_hh, cell.bias_hh));
            var parts = gates.chunk(4, 1);
            var next = (parts[1].sigmoid() * c).plus(parts[0].sigmoid() * parts[2].tanh());
            return (parts[3].sigmoid() * next.tanh(), next);
        }
    }
}
