using System.Text.Json;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Models;

public sealed class ModelBundleTests
{
    public static TheoryData<string> Architectures => ["show-and-tell", "show-attend-and-tell", "top-down"];

    private const string Card = "model.json", Words = "vocabulary.txt", Weights = "decoder.safetensors";

    [Theory, MemberData(nameof(Architectures))]
    public void A_saved_bundle_comes_back_as_it_was_but_for_fp16(string architecture)
    {
        using var scope = NewDisposeScope();
        using var saved = new SmallBundle(architecture);
        using var loaded = ModelBundle.Load(saved.Folder);

        Assert.Equal(JsonSerializer.Serialize(saved.Card), JsonSerializer.Serialize(loaded.Card));
        Assert.Equal(64, loaded.Card.Digest.Length);
        Assert.Equal(saved.Card.Digest, loaded.Card.Digest);
        Assert.Equal(Enumerable.Range(0, SmallBundle.Words.Count).Select(SmallBundle.Words.Display), Enumerable.Range(0, loaded.Vocabulary.Count).Select(loaded.Vocabulary.Display));
        Assert.Null(loaded.EncoderPath);
        Assert.False(loaded.Decoder.training);
        var before = saved.Decoder.state_dict();
        var after = loaded.Decoder.state_dict();
        Assert.Equal(before.Keys, after.Keys);
        foreach (string name in before.Keys)
            Assert.True(before[name].to(float16).to(float32).equal(after[name]).all().item<bool>(), name);
        Assert.Equal([Weights, Card, Words], Directory.GetFiles(saved.Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Encoder_weights_go_along()
    {
        using var saved = new SmallBundle("top-down");
        var card = BundleWriter.Save(saved.Folder, saved.Card, SmallBundle.Words, saved.Decoder, DefaultModels.EncoderPath);
        Assert.Equal(Sha256.OfFile(DefaultModels.EncoderPath), card.Files["encoder.safetensors"]);
        using (var loaded = ModelBundle.Load(saved.Folder))
            Assert.Equal(saved.File("encoder.safetensors"), loaded.EncoderPath);
        File.Delete(saved.File("encoder.safetensors"));
        BrokenBundleTests.AssertRefused(saved, "encoder.safetensors");
    }

    [Fact]
    public void The_digest_changes_when_anything_does()
    {
        using var scope = NewDisposeScope();
        using var saved = new SmallBundle("top-down");
        var digests = new List<string> { saved.Card.Digest };
        var card = saved.Card;
        foreach (var changed in new[]
        {
            card with { Name = "other" }, card with { Version = 2 }, card with { Language = "de" }, card with { EncoderSha256 = new string('0', 64) },
            card with { Training = new Dictionary<string, JsonElement>() }, card with { Scores = new Dictionary<string, double> { ["cider"] = 0.6 } },
        })
            digests.Add(BundleWriter.Save(saved.Folder, changed, SmallBundle.Words, saved.Decoder).Digest);
        digests.Add(BundleWriter.Save(saved.Folder, card, Vocabulary.Parse(SmallBundle.Lines.SkipLast(1).Append("lies")), saved.Decoder).Digest);
        using (no_grad())
            saved.Decoder.state_dict()["output_bias"][5] = tensor(0.25f);
        digests.Add(BundleWriter.Save(saved.Folder, card, SmallBundle.Words, saved.Decoder).Digest);
        Assert.Equal(digests.Count, digests.Distinct().Count());

        // The same again is the same: nothing of the time or place goes in.
        Assert.Equal(digests[^1], BundleWriter.Save(saved.Folder + "2", card, SmallBundle.Words, saved.Decoder).Digest);
    }

    // The bound must never refuse a real decoder: it counts what every such network has, not more.
    [Theory, MemberData(nameof(Architectures))]
    public void The_least_size_is_close_below_the_true_one(string architecture)
    {
        foreach (var options in new DecoderOptions[]
            { new() { VocabularySize = 24, Embedding = 16, Hidden = 32, Heads = 4, Attention = 24 }, new() { VocabularySize = 3000 }, new() { VocabularySize = 5, Embedding = 1, Hidden = 1, Heads = 1, Attention = 1, FeatureSize = 1 } })
        {
            using var decoder = CaptionDecoder.Create(options with { Architecture = architecture });
            long values = decoder.parameters().Sum(p => p.numel());
            Assert.InRange(decoder.Options.LeastParameters, values / 3, values);
        }
    }

    [Fact]
    public void Saving_over_a_bundle_replaces_it_whole()
    {
        using var saved = new SmallBundle("top-down");
        File.WriteAllText(saved.File("stray.txt"), "x");
        using var other = SmallBundle.Create("show-and-tell");
        var card = BundleWriter.Save(saved.Folder + "/", SmallBundle.Describe(other) with { Version = 2 }, SmallBundle.Words, other);
        using var loaded = ModelBundle.Load(saved.Folder);
        Assert.Equal(("show-and-tell", 2, card.Digest), (loaded.Card.Decoder.Architecture, loaded.Card.Version, loaded.Card.Digest));
        Assert.False(File.Exists(saved.File("stray.txt")));
        Assert.Single(Directory.GetFileSystemEntries(Path.GetDirectoryName(saved.Folder)!));
    }

    [Fact]
    public void A_save_that_breaks_off_leaves_the_old_bundle_and_no_rubbish()
    {
        using var saved = new SmallBundle("top-down");
        // What a power cut leaves beside it.
        string rest = Directory.CreateDirectory($"{saved.Folder}.0123456789abcdef.tmp").FullName;
        File.WriteAllText(Path.Combine(rest, Words), "half");
        Assert.ThrowsAny<IOException>(() => BundleWriter.Save(saved.Folder, saved.Card with { Version = 2 }, SmallBundle.Words, saved.Decoder, saved.File("no such encoder")));
        Assert.Throws<ModelBundleException>(() => BundleWriter.Save(saved.Folder, saved.Card with { Name = "No Name" }, SmallBundle.Words, saved.Decoder));
        using var loaded = ModelBundle.Load(saved.Folder);
        Assert.Equal((1, saved.Card.Digest), (loaded.Card.Version, loaded.Card.Digest));
        Assert.Equal([saved.Folder, rest], Directory.GetFileSystemEntries(Path.GetDirectoryName(saved.Folder)!).Order(StringComparer.Ordinal));
    }

    // Names and shapes are the file format: a change here breaks every saved model.
    [Theory]
    [InlineData("show-and-tell", """
        embedding.weight [24, 16]
        image.bias [16]
        image.weight [16, 512]
        lstm.bias_hh [128]
        lstm.bias_ih [128]
        lstm.weight_hh [128, 32]
        lstm.weight_ih [128, 16]
        output.bias [24]
        output.weight [24, 32]
        """)]
    [InlineData("show-attend-and-tell", """
        embedding.weight [24, 16]
        energy.weight [1, 24]
        gate.bias [512]
        gate.weight [512, 32]
        initial_cell.bias [32]
        initial_cell.weight [32, 512]
        initial_hidden.bias [32]
        initial_hidden.weight [32, 512]
        key.bias [24]
        key.weight [24, 512]
        lstm.bias_hh [128]
        lstm.bias_ih [128]
        lstm.weight_hh [128, 32]
        lstm.weight_ih [128, 528]
        norm.bias [512]
        norm.weight [512]
        output.bias [24]
        output.weight [24, 544]
        query.weight [24, 32]
        """)]
    [InlineData("top-down", """
        attention_lstm.bias_hh [128]
        attention_lstm.bias_ih [128]
        attention_lstm.weight_hh [128, 32]
        attention_lstm.weight_ih [128, 560]
        embedding.weight [24, 16]
        key.weight [32, 512]
        language_lstm.bias_hh [128]
        language_lstm.bias_ih [128]
        language_lstm.weight_hh [128, 32]
        language_lstm.weight_ih [128, 64]
        norm.bias [512]
        norm.weight [512]
        output.bias [16]
        output.weight [16, 32]
        output_bias [24]
        query.weight [32, 32]
        value.weight [32, 512]
        """)]
    public void The_names_in_a_decoders_file_are_stable(string architecture, string approved)
    {
        using var saved = new SmallBundle(architecture);
        using var file = File.OpenRead(saved.File(Weights));
        var header = Safetensors.ReadHeader(file);
        Assert.Equal(approved.ReplaceLineEndings("\n"), string.Join('\n', header.Entries.OrderBy(e => e.Name, StringComparer.Ordinal).Select(e => $"{e.Name} [{string.Join(", ", e.Shape)}]")));
        Assert.All(header.Entries, e => Assert.Equal(ScalarType.Float16, e.Type));
        Assert.Equal("pt", header.Metadata["format"]);
    }
}
