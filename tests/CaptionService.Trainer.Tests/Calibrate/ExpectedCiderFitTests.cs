using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Trainer.Calibrate;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Calibrate;

/// <summary>What people can be expected to say is learnt, kept where it ranks better, and the same again.</summary>
public sealed class ExpectedCiderFitTests(SharedFeatures features, ITestOutputHelper output)
{
    private static readonly string[] s_colours = ["red", "blue", "green", "black"], s_animals = ["dog", "cat", "bird", "horse"], s_verbs = ["runs", "sits", "sleeps"], s_embeddings = ["in snow", "on grass", "by a fence"];

    /// <summary>Photos that show an animal of a colour, and captions that also say what is not to be seen.</summary>
    private static (float[][] Photos, string[][] Captions) World(int photos, int seed)
    {
        var random = new Random(seed);
        var (seen, said) = (new float[photos][], new string[photos][]);
        for (int i = 0; i < photos; i++)
        {
            int colour = random.Next(4), animal = random.Next(4);
            seen[i] = [.. Enumerable.Range(0, 8).Select(f => (f == colour || f == 4 + animal ? 1 : 0) + 0.2f * random.NextSingle())];
            said[i] = [.. Enumerable.Range(0, 3).Select(_ => $"A {s_colours[colour]} {s_animals[animal]} {s_verbs[random.Next(3)]} {s_embeddings[random.Next(3)]}.")];
        }
        return (seen, said);
    }

    private sealed class Vectors(float[][] photos) : FeatureSource
    {
        public override int Size => photos[0].Length;
        public override bool SingleVector => true;
        public override Tensor Rows(IReadOnlyList<int> rows) => tensor(rows.SelectMany(row => photos[row]).ToArray(), [rows.Count, Size]);
        public override void Dispose() { }
    }

    [Fact]
    public void On_photos_it_has_not_seen_it_is_the_CIDEr_that_captions_have()
    {
        var tokenizer = Tokenizer.For("en");
        var (photos, captions) = World(300, 1);
        var vocabulary = Vocabulary.Build(captions.Select(c => c.Select(tokenizer.Surfaces)).SelectMany(c => c), 1);
        int[][][] Ids(string[][] some) => [.. some.Select(c => c.Select(text => vocabulary.Encode(tokenizer.Tokenize(text))).ToArray())];
        var decoder = new DecoderOptions { Architecture = "show-and-tell", VocabularySize = vocabulary.Count, Embedding = 16, Hidden = 16, FeatureSize = 8, SingleVector = true };
        var progress = new Progress(TextWriter.Null, false);
        ExpectedCider? Fit(string[][] said) => ExpectedCiderFit.Fit(Ids(said), [new Vectors(photos)], decoder, 1, progress, default);
        using var expected = Fit(captions)!;

        var (fresh, said) = World(200, 2);
        using var source = new Vectors(fresh);
        using var rows = source.Rows([.. Enumerable.Range(0, fresh.Length)]);
        float[][] embeddings = expected.Embed(ChannelMeans.Of(rows));
        var cider = new Cider<int>(Ids(captions));
        var random = new Random(3);
        int above = 0;
        var (found, real) = (new List<double>(), new List<double>());
        for (int i = 0; i < fresh.Length; i++)
        {
            int[][] references = Ids([said[i]])[0];
            int[] right = Ids([[said[i][0]]])[0][0], wrong = Ids([[World(1, random.Next()).Captions[0][0]]])[0][0];
            // A caption against the references that it is not one of.
            var others = references.Where(r => !r.SequenceEqual(right)).ToArray();
            if (others.Length == 0)
                continue;
            found.Add(expected.Of(embeddings[i], right));
            real.Add(cider.PlainScore(right, others) / 10);
            above += found[^1] > expected.Of(embeddings[i], wrong) || wrong.AsSpan(0, 3).SequenceEqual(right.AsSpan(0, 3)) ? 1 : 0;
        }
        output.WriteLine($"expected {found.Average():F3}, real {real.Average():F3}; right above wrong {above} of {found.Count}");
        Assert.InRange(found.Average() / real.Average(), 0.6, 1.25);       // verbs and embeddings, which the photos do not show, are half learnt by heart
        Assert.True(above >= 0.95 * found.Count);

        using var again = Fit(captions)!;
        Assert.Equal(embeddings.SelectMany(p => p), again.Embed(ChannelMeans.Of(rows)).SelectMany(p => p), (a, b) => Math.Abs(a - b) < 1e-3);
        // Where all photos have the same caption, there is nothing to learn.
        Assert.Null(Fit([.. photos.Select(_ => new[] { "A red dog runs." })]));
    }

    [Fact]
    public void A_run_keeps_what_ranks_better_and_the_verb_learns_the_same_again()
    {
        // A decoder of few epochs mixes up colours and animals; from too few photos nothing is learnt, whatever the decoder.
        foreach (var (train, epochs) in new[] { (ExpectedCiderFit.MinPhotos, 6), (ExpectedCiderFit.MinPhotos - 1, 1) })
        {
            using var job = new JobFolder(features.Folder, JobFolder.Small with { Architecture = "show-and-tell", BatchPhotos = 10, Epochs = epochs, LearningRate = 0.01 });
            var (photos, captions) = World(train + 250, 4);
            string[] names = [.. Enumerable.Range(0, photos.Length).Select(i => $"{i:0000}.jpg")];
            using var values = tensor(photos.SelectMany(p => p).ToArray(), [photos.Length, 8]);
            Npy.Save(job.File("features.npy"), values);
            File.WriteAllLines(job.File("names.txt"), names);
            job.WriteData(names.SelectMany((name, i) => captions[i].Select(c => (name, c))), names[..train], names[train..]);
            var card = job.Train();
            Assert.Equal(train >= ExpectedCiderFit.MinPhotos, card.Files.ContainsKey(BundleFiles.ExpectedCider));
            if (train < ExpectedCiderFit.MinPhotos)
                continue;
            Assert.Equal(TrainerExit.Succeeded, Program.Main(["calibrate", job.File("model"), job.File("job.json"), "--out", job.File("again")]));
            using var bundle = ModelBundle.Load(job.File("model"));
            Assert.Contains(bundle.Calibration!.Features, f => f.Name == "expectedCider" && f.Weight != 0);
            // The same but for the last digits, and which way an axis of the space points where two of its ends are as long.
            using var again = ModelBundle.Load(job.File("again"));
            using (var one = bundle.LoadExpectedCider(CPU)!)
            using (var other = again.LoadExpectedCider(CPU)!)
            {
                Assert.Contains(one.Ranking.Expected, (double[])[5, 10, 20, 50]);
                var (ones, others) = (one.Embed(ChannelMeans.Of(values)), other.Embed(ChannelMeans.Of(values)));
                int[][] said = [.. s_verbs.Select(verb => bundle.Vocabulary.Encode(Tokenizer.For("en").Tokenize($"A red dog {verb} in snow.")))];
                for (int i = 0; i < ones.Length; i++)
                    Assert.All(said, caption => Assert.Equal(one.Of(ones[i], caption), other.Of(others[i], caption), 1e-3));
            }

            // What is kept makes the captions better than likelihood alone does.
            double Cider(string ranking)
            {
                Assert.Equal(TrainerExit.Succeeded, Program.Main(["evaluate", job.File("model"), job.File("job.json"), "--ranking", ranking, "--output", job.File(ranking + ".json")]));
                return System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(job.File(ranking + ".json")))!["scores"]!["cider"]!.GetValue<double>();
            }
            var (consensus, likelihood) = (Cider("consensus"), Cider("likelihood"));
            output.WriteLine($"CIDEr {consensus:F3}, by likelihood {likelihood:F3}");
            Assert.True(consensus > likelihood);
        }
    }
}
