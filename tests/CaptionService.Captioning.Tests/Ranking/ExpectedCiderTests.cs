using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Ranking;

/// <summary>What a caption can expect of people's: its arithmetic, its file, and what it does to the order of captions.</summary>
public sealed class ExpectedCiderTests : IDisposable
{
    private const string FileName = BundleFiles.ExpectedCider;
    private const int Features = 512, Hidden = 6;

    private static readonly Photo[] s_photos = [.. new[] { "cat", "temple", "rocket" }.Select(name => Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"))))];

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    /// <summary>Tensors of a file whose space has an axis for each n-gram of some captions.</summary>
    private static Dictionary<string, Tensor> Tensors(int[][] captions, Func<Ngram<int>, double> idf, int seed = 1)
    {
        manual_seed(seed);
        Ngram<int>[] ngrams = [.. captions.SelectMany(caption => Ngrams.Count(caption).Keys).Distinct()];
        int count = ngrams.Length;
        return new()
        {
            ["channels.mean"] = rand(Features),
            ["channels.std"] = rand(Features).plus(0.5),
            ["hidden.weight"] = randn(Hidden, Features).times(0.1).to(float16),
            ["hidden.bias"] = randn(Hidden).to(float16),
            ["output.weight"] = randn(count, Hidden).to(float16),
            ["output.bias"] = randn(count).to(float16),
            ["ngrams"] = tensor(ngrams.SelectMany(n => new[] { n.First, n.Length > 1 ? n.Second : -1, n.Length > 2 ? n.Third : -1, n.Length > 3 ? n.Fourth : -1 }).ToArray(), [count, 4]),
            ["idf"] = tensor(ngrams.Select(n => (float)idf(n)).ToArray()).to(float16),
            ["vectors"] = eye(count).times(64).to(int8),
            ["scales"] = ones(count).times(1 / 64f).to(float16),
            ["unlisted_idf"] = tensor([2f]),
            ["ranking"] = tensor([20f, 0.125f]),
        };
    }

    private static ExpectedCider Create(Dictionary<string, Tensor> tensors) => ExpectedCider.Create(tensors, SmallBundle.Create("top-down").Options, CPU);

    [Fact]
    public void It_is_plain_CIDEr_where_the_place_is_that_of_the_references()
    {
        // 16 photos, so that every idf, a whole number of ln 2, is given in full by float16 divided by ln 2.
        int[][][] photos = [[[5, 6, 7, 8, 9], [5, 6, 10]], [[5, 11, 12]], .. Enumerable.Range(0, 14).Select(i => new[] { new[] { 5, 20 + i % 7 } })];
        var seen = photos.SelectMany(photo => photo.SelectMany(caption => Ngrams.Count(caption).Keys).Distinct()).CountBy(n => n).ToDictionary(n => n.Key, n => n.Value);
        double Idf(Ngram<int> ngram) => Math.Log(16.0 / seen[ngram]);
        var tensors = Tensors(photos[0], Idf);
        using var expected = Create(tensors);
        // The place of the references of the first photo, axis by axis.
        Ngram<int>[] ngrams = [.. photos[0].SelectMany(caption => Ngrams.Count(caption).Keys).Distinct()];
        var place = new float[ngrams.Length];
        foreach (int[] reference in photos[0])
        {
            var counts = Ngrams.Count(reference);
            foreach (var (ngram, count) in counts)
            {
                double norm = Math.Sqrt(counts.Where(n => n.Key.Length == ngram.Length).Sum(n => Math.Pow(n.Value * Idf(n.Key), 2)));
                place[Array.IndexOf(ngrams, ngram)] += norm == 0 ? 0 : (float)(count * Idf(ngram) / norm / photos[0].Length);
            }
        }
        var cider = new Cider<int>(photos);
        foreach (int[] caption in new int[][] { [5, 6, 7], [5, 6, 10], [6, 7, 8, 9], [9, 8, 7], [5, 5, 6] })
        {
            // Of n-grams that no reference has, it knows less: here none of those captions' norms is changed by them but the last two's.
            bool known = Ngrams.Count(caption).Keys.All(ngrams.Contains);
            double plain = cider.PlainScore(caption, photos[0]) / 10, found = expected.Of(place, caption);
            if (known)
                Assert.Equal(plain, found, 2e-3);
            else
                Assert.InRange(found, plain * 0.5, plain * 2);
        }
        Assert.Equal(0, expected.Of(place, [30, 31]));
        Assert.Equal(0, expected.Of(place, []));
    }

    [Fact]
    public void Photos_are_seen_by_their_channels_means_however_bright_they_are()
    {
        var tensors = Tensors([[5, 6, 7]], _ => 1);
        using var expected = Create(tensors);
        using var places = rand(2, 9, Features);
        var x = places.mean([1L]).sqrt().sub(tensors["channels.mean"]).div(tensors["channels.std"]);
        x = x.div(x.norm(1, keepdim: true)).times(Math.Sqrt(Features));
        var hidden = nn.functional.gelu(x.mm(tensors["hidden.weight"].to(float32).t()).plus(tensors["hidden.bias"].to(float32)));
        var wanted = hidden.mm(tensors["output.weight"].to(float32).t()).plus(tensors["output.bias"].to(float32));
        using var means = ChannelMeans.Of(places);
        float[][] found = expected.Embed(means);
        Assert.Equal(wanted.data<float>().ToArray(), found.SelectMany(v => v), (a, b) => Math.Abs(a - b) < 1e-3);
        using var same = ChannelMeans.Of(means);            // one vector a photo is taken as it is
        Assert.Equal(found.SelectMany(v => v), expected.Embed(same).SelectMany(v => v));
    }

    [Fact]
    public void Pairs_of_words_earn_a_bonus_of_their_part_of_the_product()
    {
        var tensors = Tensors([[5, 6, 7], [5, 8]], ngram => ngram.Length == 2 ? 1 + ngram.Second % 3 : 1);
        using var expected = Create(tensors);
        using var photos = rand(2, 9, Features);
        using var means = ChannelMeans.Of(photos);
        float[][] embeddings = expected.Embed(means);
        var expectation = expected.Expect(means);
        var guide = expectation.Guide;
        Assert.Equal(2.5 * 0.006 * 2 * 2, guide.PairPenalty, 1e-6);
        Assert.Equal(new RankingWeights(20, 0.125), expectation.Weights);
        int[][] ngrams = [.. tensors["ngrams"].data<int>().ToArray().Chunk(4)];
        for (int photo = 0; photo < 2; photo++)
        {
            double Bonus(int first, int second) => 2.5 * (1 + second % 3) * (embeddings[photo][Array.FindIndex(ngrams, n => n[0] == first && n[1] == second && n[2] < 0)] - 0.006 * (1 + second % 3)) + guide.PairPenalty;
            Assert.Equal([(6, Bonus(5, 6)), (8, Bonus(5, 8))], guide.Bonuses(photo, 5).OrderBy(p => p.Key).Select(p => (p.Key, (double)p.Value)), (a, b) => a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) < 1e-4);
            Assert.Equal(Bonus(6, 7), Assert.Single(guide.Bonuses(photo, 6)).Value, 1e-4);
            Assert.Empty(guide.Bonuses(photo, 7));
            Assert.Equal(expected.Of(embeddings[photo], [5, 6]), expectation.Cider(photo, [5, 6]));
        }
    }

    [Fact]
    public void Its_weights_are_kept_and_a_file_from_before_them_is_read()
    {
        string path = Path.GetTempFileName();
        try
        {
            using (var expected = Create(Tensors([[5, 6]], _ => 1)))
            {
                expected.Ranking = new RankingWeights(5, 0.25);
                expected.Save(path);
            }
            using (var again = ExpectedCider.Load(path, SmallBundle.Create("top-down").Options, CPU))
                Assert.Equal(new RankingWeights(5, 0.25), again.Ranking);
            var old = Tensors([[5, 6]], _ => 1);
            old.Remove("ranking");
            using var older = Create(old);
            Assert.Equal(new RankingWeights(10, 0), older.Ranking);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_bundle_keeps_it_and_captions_are_ranked_by_it()
    {
        using var bundle = new SmallBundle("top-down");
        IReadOnlyList<IReadOnlyList<Caption>> Captions()
        {
            using var captioner = CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32);
            return captioner.Caption(s_photos, [.. s_photos.Select(_ => new CaptionOptions { Count = 10 })]).Photos;
        }
        var before = Captions();
        // The last caption of the first photo is what people are expected to say, and nothing else. It was cut, and what ended goes before.
        var last = before[0][^1];
        bool Cut(Caption caption) => caption.Words.Count == new CaptionOptions().MaxLength;
        Assert.NotSame(before[0].First(Cut), last);
        int[] Ids(Caption caption) => SmallBundle.Words.Encode([.. caption.Words.Select(word => word.Text.ToLowerInvariant())]);
        int[] words = Ids(last);
        var tensors = Tensors([words], _ => 1);
        tensors["output.weight"] = tensors["output.weight"].times(0);
        tensors["output.bias"] = ones_like(tensors["output.bias"]);
        tensors["ranking"] = tensor([1000f, 0f]);           // nothing else counts
        var can = new List<double>();                       // what those that were cut can expect, as ranked
        IReadOnlyList<IReadOnlyList<Caption>> after;
        using (var expected = Create(tensors))
        {
            var card = BundleWriter.SaveCalibrated(bundle.Folder, bundle.Folder, expected, null, "Too few photos.");
            Assert.Equal(Sha256.OfFile(bundle.File(FileName)), card.Files[FileName]);
            after = Captions();
            float[] place = [.. Enumerable.Repeat(1f, (int)tensors["output.bias"].shape[0])];
            can.AddRange(after[0].Where(Cut).Select(caption => expected.Of(place, Ids(caption))));
        }
        Assert.Equal(can.OrderDescending(), can, (a, b) => Math.Abs(a - b) < 2e-3);
        int Common(Caption caption) => Ngrams.Count(Ids(caption)).Keys.Count(Ngrams.Count(words).ContainsKey);
        Assert.True(Common(after[0].First(Cut)) > Common(before[0].First(Cut)));
        // The search was led there, by pairs of words; what it found before as well is as likely as it was.
        Assert.NotEqual(before[0].Select(c => c.Text).Order(), after[0].Select(c => c.Text).Order());
        Assert.All(after[0].Join(before[0], c => c.Text, c => c.Text, (a, b) => (a, b)), both => Assert.Equal(both.b.LogProbability, both.a.LogProbability, 1e-3));

        // Fitted again without, it is gone; a changed one is refused before it is read.
        byte[] bytes = File.ReadAllBytes(bundle.File(FileName));
        bytes[^1] ^= 1;
        File.WriteAllBytes(bundle.File(FileName), bytes);
        Assert.Contains("was changed", Assert.Throws<ModelBundleException>(() => Captions()).Message);
        bytes[^1] ^= 1;
        File.WriteAllBytes(bundle.File(FileName), bytes);
        Assert.DoesNotContain(FileName, BundleWriter.SaveCalibrated(bundle.Folder, bundle.Folder, null, null, "Too few photos.").Files.Keys);
        Assert.Equal(before[0].Select(c => c.Text), Captions()[0].Select(c => c.Text));
    }

    [Theory]
    [InlineData("missing", "idf is missing")]
    [InlineData("unknown", "photos is unknown")]
    [InlineData("shape", "scales must be Float16 of shape [10]")]
    [InlineData("features", "channels.mean must be Float32 of shape [512]")]
    [InlineData("type", "vectors must be Int8")]
    [InlineData("number", "output.bias has values that are not numbers")]
    [InlineData("deviation", "channels.std must be above 0")]
    [InlineData("word", "row 2 of ngrams")]
    [InlineData("hole", "row 0 of ngrams")]
    [InlineData("twice", "row 1 of ngrams")]
    [InlineData("vector", "must have two dimensions")]
    [InlineData("weight", "ranking must be 0 or more")]
    public void What_does_not_fit_is_refused(string fault, string message)
    {
        var tensors = Tensors([[5, 6, 7, 8]], _ => 1);      // 4 + 3 + 2 + 1 n-grams
        switch (fault)
        {
            case "missing": tensors.Remove("idf"); break;
            case "unknown": tensors["photos"] = zeros(1); break;
            case "shape": tensors["scales"] = zeros(9, float16); break;
            case "features": tensors["channels.mean"] = zeros(4096); break;
            case "type": tensors["vectors"] = tensors["vectors"].to(float32); break;
            case "number": tensors["output.bias"][3] = tensor(float.NaN).to(float16); break;
            case "deviation": tensors["channels.std"][3] = tensor(0f); break;
            case "word": tensors["ngrams"][2, 0] = tensor(SmallBundle.Words.Count); break;
            case "hole": tensors["ngrams"][0, 2] = tensor(5); break;
            case "twice": tensors["ngrams"][1] = tensors["ngrams"][0].clone(); break;
            case "weight": tensors["ranking"] = tensor([20f, -1f]); break;
            case "vector": tensors["vectors"] = zeros(10, int8); break;
        }
        var refused = Assert.Throws<ModelBundleException>(() => Create(tensors));
        Assert.Contains(message, refused.Message);
        Assert.Contains(FileName, refused.Message);
    }
}
