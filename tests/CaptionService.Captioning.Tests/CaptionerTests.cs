using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests;

/// <summary>The way from photos to captions with the real encoder and small decoders of random weights.</summary>
public sealed class CaptionerTests(ITestOutputHelper output)
{
    public static TheoryData<string> Architectures => ["show-and-tell", "show-attend-and-tell", "top-down"];

    private static readonly Photo[] s_photos = [.. new[] { "astronaut", "cat", "coffee", "flower", "rocket", "temple" }.Select(Sample)];

    private static CaptionOptions Options(int count = 3, int beamWidth = 3, int maxLength = 8, bool attention = true) =>
        new() { Count = count, BeamWidth = beamWidth, MaxLength = maxLength, Attention = attention };

    [Theory, MemberData(nameof(Architectures))]
    public void A_batch_with_mixed_options_gives_each_photo_what_it_gets_alone(string architecture)
    {
        using var bundle = new SmallBundle(architecture);
        using var captioner = Load(bundle);
        Photo[] photos = [.. s_photos, s_photos[1], s_photos[0]];
        CaptionOptions[] options =
        [
            Options(), Options(count: 1, beamWidth: 1), Options(), Options(count: 5, beamWidth: 5, attention: false), Options(count: 2, beamWidth: 4, maxLength: 3),
            Options(count: 4, beamWidth: 2), Options(), Options() with { LengthNormalization = 0 },
        ];
        var batch = captioner.Caption(photos, options);
        Assert.Equal(8, batch.Photos.Count);
        Assert.True(batch.Encode > TimeSpan.Zero && batch.Decode > TimeSpan.Zero);
        double largest = 0;
        foreach (int i in new[] { 0, 3, 4, 5 })
        {
            var alone = captioner.Caption([photos[i]], [options[i]]).Photos[0];
            Assert.Equal(options[i].Count, alone.Count);
            Assert.Equal(alone.Select(c => c.Text), batch.Photos[i].Select(c => c.Text));
            foreach (var (one, other) in alone.Zip(batch.Photos[i]))
            {
                Assert.Equal(one.LogProbability, other.LogProbability, 1e-4);
                largest = Math.Max(largest, Math.Abs(one.LogProbability - other.LogProbability));
                Assert.InRange(one.Words.Count, 1, options[i].MaxLength);
                Assert.All(one.Words, word => Assert.Equal(options[i].Attention && architecture != "show-and-tell", word.Attention is not null));
            }
        }
        output.WriteLine($"{architecture}: log-probabilities differ by at most {largest:G2}");
        // The photos are told apart, and the text is as a person writes it.
        Assert.NotEqual(batch.Photos[0][0].LogProbability, batch.Photos[2][0].LogProbability);
        Assert.All(batch.Photos.SelectMany(p => p), c => Assert.True(char.IsUpper(c.Text[0]) && c.Text.EndsWith('.'), c.Text));
    }

    [Theory, MemberData(nameof(Architectures))]
    public void Every_caption_replays_word_by_word_with_its_probabilities_and_attention(string architecture)
    {
        using var scope = NewDisposeScope();
        using var bundle = new SmallBundle(architecture, seed: 5);
        using var captioner = Load(bundle);
        Photo[] photos = [s_photos[0], s_photos[1]];
        var found = captioner.Caption(photos, [Options(4, 4, 7), Options(4, 4, 7)]).Photos;
        if (architecture != "show-and-tell")
        {
            // A word with another's map would show: maps differ by far more than the 1e-4 they are compared to.
            float[][] last = [.. found.SelectMany(p => p).Select(c => c.Words[^1].Attention!)];
            double[] differences = [.. last.SelectMany((a, i) => last.Skip(i + 1).Select(b => (double)a.Zip(b).Max(p => Math.Abs(p.First - p.Second))))];
            output.WriteLine($"{architecture}: maps of two captions differ by {differences.Min():G2} to {differences.Max():G2}");
            Assert.True(differences.Count(d => d > 1e-3) > differences.Length / 2);
        }

        using var encoder = Vgg16.Load(DefaultModels.EncoderPath, TorchRuntime.Device, EncoderPrecision.Float32);
        var features = encoder.Forward(Vgg16.Pixels(photos));
        using var loaded = ModelBundle.Load(bundle.Folder);
        using var frozen = loaded.Decoder.Freeze(ScalarType.Float32);
        for (int photo = 0; photo < photos.Length; photo++)
        {
            Assert.Equal(4, found[photo].Select(c => string.Join(' ', c.Words.Select(w => w.Text))).Distinct().Count());
            foreach (var caption in found[photo])
            {
                using var state = frozen.Start(features.narrow(0, photo, 1));
                int[] ids = SmallBundle.Words.Encode([.. caption.Words.Select(w => w.Text.ToLowerInvariant())]);
                Assert.DoesNotContain(Vocabulary.Unknown, ids);
                Tensor? parents = null;
                Tensor next = state.Step(tensor(new long[] { Vocabulary.Start }, [1, 1]), null, null).view(-1);
                double sum = 0;
                for (int t = 0; t < ids.Length; t++)
                {
                    double logP = next[ids[t]].item<float>();
                    Assert.Equal(Math.Exp(logP), caption.Words[t].Probability, 1e-4);
                    sum += logP;
                    if (architecture != "show-and-tell")
                    {
                        float[] attention = caption.Words[t].Attention!;
                        Assert.Equal(196, attention.Length);
                        Assert.Equal(1, attention.Sum(), 1e-4);
                        Assert.All(attention.Zip(state.Attention!.view(-1).data<float>().ToArray()), pair => Assert.Equal(pair.Second, pair.First, 1e-4));
                    }
                    parents = zeros(1, 1, ScalarType.Int64);
                    next = state.Step(tensor(new long[] { ids[t] }, [1, 1]), null, parents).view(-1);
                }
                double words = caption.Words.Sum(w => Math.Log(w.Probability)), end = next[Vocabulary.End].item<float>();
                Assert.Equal(sum, words, 1e-3);
                // Cut at the greatest length, a caption may lack its end.
                bool ended = ids.Length < 7 || Math.Abs(caption.LogProbability - words - end) < Math.Abs(caption.LogProbability - words);
                Assert.Equal(caption.LogProbability, words + (ended ? end : 0), 1e-3);
            }
        }
    }

    [Fact]
    public void Models_that_share_an_encoder_caption_from_one_pass_what_each_captions_alone()
    {
        using SmallBundle english = new("top-down"), german = new("show-attend-and-tell", seed: 2, language: "de"), chinese = new("show-and-tell", seed: 3, language: "zh");
        var encoders = new SharedEncoders();
        using CaptionModel en = Load(english, encoders), de = Load(german, encoders), zh = Load(chinese, encoders), other = Load(english);
        CaptionJob[] jobs = [new(s_photos[0], Options(), en), new(s_photos[1], Options(), de), new(s_photos[0], Options(), de), new(s_photos[1], Options(count: 1), en), new(s_photos[0], Options(), zh)];
        long before = LiveTensors();

        var together = Captioner.Caption(jobs);

        Assert.Equal(before, LiveTensors());
        Assert.Equal((5, 2), (together.Photos.Count, together.Encoded));
        foreach (var (job, found) in jobs.Zip(together.Photos))
        {
            var alone = job.Model.Caption([job.Photo], [job.Options]).Photos[0];
            Assert.Equal(alone.Select(c => c.Text), found.Select(c => c.Text));
            Assert.All(alone.Zip(found), pair => Assert.Equal(pair.First.LogProbability, pair.Second.LogProbability, 1e-4));
        }
        Assert.All(together.Photos[4], c => Assert.EndsWith("。", c.Text));
        Assert.Equal(3, new[] { 0, 2, 4 }.Select(i => together.Photos[i][0].LogProbability).Distinct().Count());
        Assert.Throws<ArgumentException>(() => Captioner.Caption([new(s_photos[0], Options(), en), new(s_photos[0], Options(), other)]));
        Assert.Equal(before, LiveTensors());
    }

    [Fact]
    public void Others_can_be_captioned_in_the_middle_of_a_batch_and_neither_is_changed_by_it()
    {
        using var bundle = new SmallBundle("top-down");
        using CaptionModel model = Load(bundle);
        CaptionJob[] many = [.. s_photos.Take(3).Select(photo => new CaptionJob(photo, Options(), model))], one = [new(s_photos[4], Options(), model)];
        string[] manyAlone = Said(Captioner.Caption(many)), oneAlone = Said(Captioner.Caption(one));
        long before = LiveTensors();
        int times = 0;
        var between = new List<string[]>();

        string[] together = Said(Captioner.Caption(many, () =>
        {
            if (times++ % 5 == 0)
                between.Add(Said(Captioner.Caption(one)));
        }));

        Assert.Equal(before, LiveTensors());
        Assert.InRange(times, 13 + 2, 13 + 9);      // the convolutions, and at most eight words and an end
        Assert.Equal(manyAlone, together);
        Assert.All(between, said => Assert.Equal(oneAlone, said));

        static string[] Said(CaptionedBatch batch) => [.. batch.Photos.SelectMany(captions => captions, (_, caption) => $"{caption.Text} {caption.LogProbability:R}")];
    }

    [Fact]
    public void Raw_captions_are_the_words_and_a_shortest_length_and_diversity_are_kept()
    {
        using var bundle = new SmallBundle("top-down");
        using var captioner = Load(bundle);
        var found = captioner.Caption([.. s_photos[..3]], [Options() with { Sentence = false }, Options(count: 2) with { MinLength = 6 }, Options(count: 5, beamWidth: 5) with { Diversity = 1 }]).Photos;
        Assert.All(found[0], c => Assert.Equal(string.Join(' ', c.Words.Select(w => w.Text)), c.Text));
        Assert.All(found[1], c => Assert.InRange(c.Words.Count, 6, 8));
        Assert.Equal(5, found[2].Select(c => c.Text).Distinct().Count());
        Assert.All(found.SelectMany(c => c), c => Assert.DoesNotContain(c.Words[^1].Text, Tokenizer.For("en").NeverLast));
    }

    [Fact]
    public void More_captions_than_beams_widen_the_search()
    {
        using var bundle = new SmallBundle("top-down");
        using var captioner = Load(bundle);
        var wide = captioner.Caption([s_photos[2]], [Options(count: 4, beamWidth: 4)]).Photos[0];
        var asked = captioner.Caption([s_photos[2]], [Options(count: 4, beamWidth: 1)]).Photos[0];
        Assert.Equal(wide.Select(c => c.Text), asked.Select(c => c.Text));
    }

    [Fact]
    public void No_photos_have_no_captions_and_each_photo_needs_options()
    {
        using var bundle = new SmallBundle("top-down");
        using var captioner = Load(bundle);
        Assert.Empty(captioner.Caption([], []).Photos);
        Assert.Throws<ArgumentOutOfRangeException>(() => captioner.Caption([s_photos[0]], [Options(count: 0)]));
        Assert.Single(captioner.Caption([s_photos[0]], [Options()]).Photos);     // and it goes on
    }

    [Fact]
    public void A_model_of_other_encoder_weights_is_refused()
    {
        using var other = new SmallBundle("top-down", encoderSha256: new string('a', 64));
        var refused = Assert.Throws<ModelBundleException>(() => Load(other));
        Assert.Contains(new string('a', 64), refused.Message);
        Assert.Contains("'small'", refused.Message);

        using var right = new SmallBundle("top-down", encoderSha256: Sha256.OfFile(DefaultModels.EncoderPath).ToUpperInvariant());
        using (var captioner = Load(right))
            Assert.Equal((right.Card.Digest, EncoderPrecision.Float32), (captioner.Card.Digest, captioner.Precision));
        refused = Assert.Throws<ModelBundleException>(() => CaptionModel.Load(right.Folder, right.File("absent.safetensors")));
        Assert.Contains("absent.safetensors", refused.Message);
        Assert.Throws<ModelBundleException>(() => CaptionModel.Load(right.Folder, right.File("decoder.safetensors")));
    }

    [Fact]
    public void Encoder_weights_that_are_no_safetensors_are_refused()
    {
        using var bundle = new SmallBundle("top-down");
        foreach (byte[] bytes in (byte[][])[[], [1, 2, 3], new byte[64]])
        {
            File.WriteAllBytes(bundle.File("broken.safetensors"), bytes);
            Assert.Throws<ModelBundleException>(() => CaptionModel.Load(bundle.Folder, bundle.File("broken.safetensors"), EncoderPrecision.Float32));
        }
    }

    [Theory]
    [InlineData("top-down", 100, false)]
    [InlineData("show-and-tell", 4096, false)]
    [InlineData("show-and-tell", 512, true)]
    [InlineData("show-and-tell", 4096, true)]      // fc7, which the default weights do not have
    public void A_model_of_features_the_encoder_does_not_give_is_refused(string architecture, int size, bool single)
    {
        using var bundle = new SmallBundle("top-down");
        using var decoder = CaptionDecoder.Create(new() { Architecture = architecture, VocabularySize = 24, Embedding = 16, Hidden = 32, FeatureSize = size, SingleVector = single });
        BundleWriter.Save(bundle.Folder, SmallBundle.Describe(decoder), SmallBundle.Words, decoder);
        Assert.Contains("'small'", Assert.Throws<ModelBundleException>(() => Load(bundle)).Message);
    }

    [Theory, MemberData(nameof(Architectures))]
    public void No_tensor_is_left_behind_by_three_calls_or_by_the_model(string architecture)
    {
        using var bundle = new SmallBundle(architecture);
        long unloaded = LiveTensors();
        using (var captioner = Load(bundle))
        {
            long loaded = LiveTensors();
            for (int call = 0; call < 3; call++)
            {
                captioner.Caption([.. s_photos[..2].Skip(call % 2)], call % 2 == 0 ? [Options(), Options(count: 1, beamWidth: 2)] : [Options()]);
                Assert.Equal(loaded, LiveTensors());
            }
            Assert.Throws<ArgumentOutOfRangeException>(() => captioner.Caption([s_photos[0]], [Options(maxLength: 0)]));
            Assert.Equal(loaded, LiveTensors());
        }
        Assert.Equal(unloaded, LiveTensors());
    }

    private static long LiveTensors() => DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

    private static CaptionModel Load(SmallBundle bundle, SharedEncoders? encoders = null) => CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32, encoders: encoders);

    private static Photo Sample(string name) => Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg")));
}
