using System.Text.Json.Nodes;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Tests;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Confidence;

/// <summary>The confidence of captions: its file, its arithmetic, and that nothing else changes with it.</summary>
public sealed class CalibrationTests
{
    private const string File = BundleFiles.Calibration;

    private static readonly Photo[] s_photos = [.. new[] { "cat", "temple", "rocket" }.Select(name => Photo.Decode(System.IO.File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"))))];

    [Fact]
    public void A_bundle_keeps_its_calibration_and_its_other_files_byte_for_byte()
    {
        using var bundle = new SmallBundle("top-down");
        string[] others = ["decoder.safetensors", "vocabulary.txt"];
        byte[][] before = [.. others.Select(name => System.IO.File.ReadAllBytes(bundle.File(name)))];
        var card = bundle.Calibrate();

        using var loaded = ModelBundle.Load(bundle.Folder);
        Assert.Equal(SmallBundle.Calibration().ToJson(), loaded.Calibration!.ToJson());
        Assert.Equal(card.Digest, loaded.Card.Digest);
        Assert.NotEqual(bundle.Card.Digest, card.Digest);
        Assert.Null(card.WhyNoConfidence);
        Assert.Equal(Sha256.OfFile(bundle.File(File)), card.Files[File]);
        Assert.Equal(before, others.Select(name => System.IO.File.ReadAllBytes(bundle.File(name))));
        Assert.Contains("\"tail\": [ 1000000 ]", System.IO.File.ReadAllText(bundle.File(File)));     // a list on one line

        var without = BundleWriter.SaveCalibrated(bundle.Folder, bundle.Folder, null, null, "Too few photos.");
        Assert.Equal("Too few photos.", ModelBundle.ReadCard(bundle.Folder).WhyNoConfidence);
        Assert.False(System.IO.File.Exists(bundle.File(File)) || without.Files.ContainsKey(File));
        Assert.Contains("calibrate", bundle.Card.WhyNoConfidence);      // of a model saved before there were calibrations
    }

    [Fact]
    public void A_confidence_is_the_regressions_times_the_familiarity()
    {
        RankedHypothesis Of(double logP, params float[] words) => new(new Hypothesis([.. words.Select((_, i) => 4 + i)], words, logP, 0, true, new int[words.Length]));
        RankedHypothesis[] found = [Of(Math.Log(0.6), -1, -3), Of(Math.Log(0.2), -1, -2, -3, -2)];
        double spread = -(0.75 * Math.Log(0.75) + 0.25 * Math.Log(0.25));
        double rest = -0.5 + 0.125 * (spread - 1) / 0.5;
        double[] sums = [rest + 1.5 * (-2.0 + 2) / 0.5 - 0.25 * (2 - 10) / 4.0, rest + 1.5 * (-2.0 + 2) / 0.5 - 0.25 * (4 - 10) / 4.0];

        double[] confidences = SmallBundle.Calibration().Confidences(found, 0.5);
        Assert.Equal(sums.Select(sum => Math.Round(0.5 / (1 + Math.Exp(-sum)), 4)), confidences);
        Assert.Equal((2 * Math.Log(5) + 2 * Math.Log(6)) / 4, ConfidenceFeature.Find("rarity").Of(found, 0) / 2 + (Math.Log(5) + Math.Log(6)) / 4, 1e-12);
        Assert.Equal(16, ConfidenceFeature.Find("wordsSquared").Of(found, 1));
        Assert.Equal(-3, ConfidenceFeature.Find("weakestWord").Of(found, 1));
    }

    [Fact]
    public void Unfamiliar_photos_lose_by_their_rank_among_the_farthest()
    {
        var familiarity = new Familiarity(300, [0, 1], [1, 2], [4, 9, 16]);
        Assert.Equal((9.0 + 4) / 2, familiarity.Distance([3, -3]), 1e-12);
        Assert.Equal([1, 1, 0.75, 0.5, 0.25], new[] { 0.0, 2, 3, 3.5, 9 }.Select(d => familiarity.Factor([d, 1 + 2 * d])));     // d² off

        // Learnt: the even ones give means and deviations, the odd ones the tail; a channel that never changes gets a least deviation.
        double[][] photos = [.. Enumerable.Range(0, 400).Select(i => new[] { i % 4 < 2 ? 1.0 : 3.0 + i % 2 * i, 7 })];
        var learnt = Familiarity.Learn(photos);
        Assert.Equal((200, 2.0, 1.0, 7.0, 0.05), (learnt.Photos, learnt.Means[0], learnt.Deviations[0], learnt.Means[1], learnt.Deviations[1]));
        Assert.Equal([Math.Pow(3 + 395 - 2, 2) / 2, Math.Pow(3 + 399 - 2, 2) / 2], learnt.Tail);

        using var features = tensor(new float[] { 0, 1, 2, 3, -5, -5 }, [1, 3, 2]);
        Assert.Equal([Math.Log(0.001), Math.Log(0.001)], Familiarity.LogMeans(ChannelMeans.Of(features))[0]);     // (0 + 2 - 5) / 3 and (1 + 3 - 5) / 3 are below 0
        using var vector = tensor(new float[] { 0.5f, 0.25f }, [1, 2]);
        Assert.Equal([Math.Log(0.501), Math.Log(0.251)], Familiarity.LogMeans(ChannelMeans.Of(vector))[0]);
    }

    [Theory]
    [InlineData("top-down")]
    [InlineData("show-and-tell")]
    public void Captions_are_the_same_with_and_without_and_so_is_the_confidence_however_many_are_asked_for(string architecture)
    {
        using var bundle = new SmallBundle(architecture);
        CaptionOptions[] options = [new(), new() { Count = 5, Attention = true }, new() { Count = 1, BeamWidth = 1 }];
        IReadOnlyList<IReadOnlyList<Caption>> plain, calibrated, few;
        using (var captioner = CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32))
            plain = captioner.Caption(s_photos, options).Photos;
        bundle.Calibrate();
        using (var captioner = CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32))
        {
            calibrated = captioner.Caption(s_photos, options).Photos;
            few = captioner.Caption(s_photos, [.. s_photos.Select(_ => new CaptionOptions { Count = 2 })]).Photos;
        }
        Assert.All(plain.SelectMany(p => p), caption => Assert.Null(caption.Confidence));
        Assert.All(calibrated.SelectMany(p => p), caption => Assert.InRange(caption.Confidence!.Value, 0, 1));
        Assert.Equal(Flat(plain), Flat(calibrated));
        foreach (int photo in new[] { 0, 1 })       // whose beam is the same
        {
            for (int rank = 0; rank < 2; rank++)
                Assert.Equal(calibrated[photo][rank].Confidence!.Value, few[photo][rank].Confidence!.Value, 2e-4);
        }
        Assert.True(calibrated[1].Select(c => c.Confidence).Distinct().Count() > 1);

        static string[] Flat(IEnumerable<IReadOnlyList<Caption>> photos) =>
            [.. photos.SelectMany(p => p).Select(c => $"{c.Text} {c.LogProbability:R} {string.Join(' ', c.Words.Select(w => $"{w.Text} {w.Probability:R} {w.Attention?.Sum():R}"))}")];
    }

    [Fact]
    public void A_photo_unlike_all_others_gets_half()
    {
        using var bundle = new SmallBundle("top-down");
        bundle.Calibrate();
        using var familiar = CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32);
        double before = familiar.Caption([s_photos[0]], [new()]).Photos[0][0].Confidence!.Value;
        bundle.Calibrate(SmallBundle.Calibration(farthest: 0));
        using var unfamiliar = CaptionModel.Load(bundle.Folder, precision: EncoderPrecision.Float32);
        Assert.Equal(before / 2, unfamiliar.Caption([s_photos[0]], [new()]).Photos[0][0].Confidence!.Value, 2e-4);
    }

    [Theory]
    [InlineData("intercept", "1e999", "intercept")]
    [InlineData("intercept", "1e7", "intercept")]
    [InlineData("intercept", "null", "calibration")]
    [InlineData("features", "[]", "features")]
    [InlineData("features", "[null]", "''")]
    [InlineData("features", """[{"name":"colour","mean":0,"deviation":1,"weight":1}]""", "'colour'")]
    [InlineData("features", """[{"name":"words","mean":0,"deviation":1,"weight":1},{"name":"words","mean":0,"deviation":1,"weight":1}]""", "each once")]
    [InlineData("features", """[{"name":"words","mean":0,"deviation":0,"weight":1}]""", "deviations")]
    [InlineData("features", """[{"name":"words","mean":0,"deviation":1,"weight":-1e300}]""", "features")]
    [InlineData("features", """[{"name":"words","mean":0,"deviation":1}]""", "weight")]
    [InlineData("familiarity.means", "[0]", "512")]
    [InlineData("familiarity.deviations", "[]", "512")]
    [InlineData("familiarity.tail", "[]", "unfamiliar")]
    [InlineData("familiarity.tail", "[1e999]", "familiarity")]
    [InlineData("familiarity", "null", "familiarity")]
    [InlineData("check.ece", "2", "check")]
    [InlineData("check.bins", "[null]", "bins")]
    [InlineData("check.coverage", """[{"from":0.5,"coverage":-1,"right":null}]""", "check")]
    [InlineData("check", "null", "check")]
    [InlineData("definition", "null", "definition")]
    [InlineData("search.beamWidth", "2000000", "numbers of photos")]
    public void A_calibration_that_cannot_be_is_refused_even_when_the_digest_is_right(string path, string json, string told)
    {
        using var bundle = new SmallBundle("top-down");
        bundle.Calibrate();
        var calibration = JsonNode.Parse(System.IO.File.ReadAllText(bundle.File(File)))!;
        string[] parts = path.Split('.');
        (parts.Length == 2 ? calibration[parts[0]]! : calibration)[parts[^1]] = JsonNode.Parse(json);
        Write(bundle, System.Text.Encoding.UTF8.GetBytes(calibration.ToJsonString()));
        string message = Assert.Throws<ModelBundleException>(() => ModelBundle.Load(bundle.Folder)).Message;
        Assert.Contains(told, message);
        Assert.Contains(File, message);
    }

    [Fact]
    public void No_mutation_escapes_the_named_error_and_none_gives_a_confidence_outside_of_0_to_1()
    {
        using var bundle = new SmallBundle("show-and-tell");
        bundle.Calibrate();
        byte[] original = System.IO.File.ReadAllBytes(bundle.File(File)), telling = "{}[]\",:-.e019 \\unltrfa"u8.ToArray();
        var random = new Random(7);
        RankedHypothesis[] found = [new(new Hypothesis([4, 5, 6], [-1e3f, 0, -1e-3f], -1e3, -1, true, new int[3]))];
        int accepted = 0, refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            try
            {
                var calibration = Calibration.Parse(Mutations.Of(original, telling, random), new() { FeatureSize = 512 });
                Assert.InRange(calibration.Confidences(found, calibration.Familiarity.Factor(new double[512]))[0], 0, 1);
                accepted++;
            }
            catch (ModelBundleException)
            {
                refused++;
            }
        }
        Assert.True(accepted > 40 && refused > 40, $"{accepted} and {refused}");     // the mutations reach both sides
        Write(bundle, new byte[BundleFiles.MaxJsonBytes + 1]);
        Assert.Contains("larger", Assert.Throws<ModelBundleException>(() => ModelBundle.Load(bundle.Folder)).Message);
    }

    /// <summary>Puts a file in its place and its digest into the card.</summary>
    private static void Write(SmallBundle bundle, byte[] calibration)
    {
        System.IO.File.WriteAllBytes(bundle.File(File), calibration);
        var card = JsonNode.Parse(System.IO.File.ReadAllText(bundle.File("model.json")))!;
        card["files"]![File] = Sha256.OfFile(bundle.File(File));
        System.IO.File.WriteAllText(bundle.File("model.json"), card.ToJsonString());
    }
}
