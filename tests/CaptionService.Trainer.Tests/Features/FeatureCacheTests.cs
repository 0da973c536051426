using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Features;

public sealed class FeatureCacheTests : IDisposable
{
    private static readonly string[] s_names = ["astronaut", "cat", "coffee", "flower", "rocket", "temple"];
    private const int Block = 32, PhotoBytes = 196 * 512 * 2;

    private readonly string _folder = Directory.CreateTempSubdirectory("cache").FullName;
    private readonly TorchSharp.DisposeScope _scope = NewDisposeScope();

    public FeatureCacheTests() => TorchRuntime.Configure();

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Features_are_the_encoders_own_in_fp16_seen_straight_mirrored_and_in_part()
    {
        using var straight = Open(Samples(3));
        using var mirrored = Open(Samples(1), augmentation: Augmentation.Flip);
        using var cropped = Open(Samples(2), augmentation: Augmentation.Crop);
        Assert.Equal(3, Files().Length);
        AssertEncoded(cropped.Rows([0, 1]), Augmentation.Crop.Apply(Pixels(2)));
        AssertEncoded(straight.Rows([0, 1, 2]), Pixels(3));
        AssertEncoded(mirrored.Rows([0]), Pixels(1).flip(2));
        var some = straight.Rows([2, 0, 2]);
        Assert.True(some[0].equal(straight.Rows([2])[0]).all().item<bool>());
        Assert.True(some[2].equal(some[0]).all().item<bool>());
        Assert.False(some[1].equal(some[0]).all().item<bool>());
    }

    [Fact]
    public void A_part_of_a_photo_is_most_of_it_enlarged_and_the_same_part_again()
    {
        // Red grows from left to right, green from top to bottom: a part enlarged shows a shorter range of each.
        var ramp = TensorArithmetic.upto(224).to(ScalarType.Byte);
        var photo = stack([ramp.expand(224, 224), ramp.unsqueeze(1).expand(224, 224), zeros(224, 224, ScalarType.Byte)], 2).contiguous();
        var part = Augmentation.Crop.Apply(stack([photo, photo]));
        Assert.Equal([2, 224, 224, 3], part.shape);
        Assert.True(part[0].equal(part[1]).all().item<bool>());
        int[] range = [.. Enumerable.Range(0, 2).Select(channel => part[0].select(2, channel)).Select(seen => seen.max().item<byte>() - seen.min().item<byte>())];
        Assert.All(range, r => Assert.InRange(r, 224 * 3 / 4 - 2, 224));
        Assert.True(range[0] < 223 || range[1] < 223);
        // Columns stay columns, rows rows.
        Assert.Equal(0, part[0].select(2, 0).to(ScalarType.Int32).diff(dim: 0).abs().max().item<int>());
        Assert.Equal(0, part[0].select(2, 1).to(ScalarType.Int32).diff(dim: 1).abs().max().item<int>());
        var other = photo.clone();
        other[0, 0, 2] = 1;
        Assert.False(Augmentation.Crop.Apply(other.unsqueeze(0))[0].equal(part[0]).all().item<bool>());
    }

    [Fact]
    public void A_pass_that_was_stopped_goes_on_after_its_last_whole_block()
    {
        var photos = Different(Block + 2);
        using var stop = new CancellationTokenSource();
        using (var atTheFirstBlock = new Listener(stop.Cancel))
            Assert.Throws<OperationCanceledException>(() => Open(photos, progress: new Progress(atTheFirstBlock, interactive: false), stop: stop));
        string file = Assert.Single(Files());
        string[] first = Index(file);
        Assert.Equal(Block, first.Length);
        byte[] block = File.ReadAllBytes(file);

        var done = new List<string>();
        using (var listener = new Listener(line => done.Add(line)))
        using (var features = Open(photos, progress: new Progress(listener, interactive: false)))
        {
            Assert.Contains("34/34", Assert.Single(done));          // one block, not two
            string[] index = Index(file);
            Assert.Equal(first, index[..Block]);
            Assert.Equal(Block + 2, index.Length);
            Assert.Equal(block, File.ReadAllBytes(file)[..block.Length]);
            // Photo 33 shows what photo 3 shows.
            AssertClose(features.Rows([3])[0], features.Rows([Block + 1])[0]);
        }
    }

    [Fact]
    public void A_damaged_or_cut_row_is_computed_again_and_an_unharmed_one_is_not()
    {
        var photos = Samples(2);
        Open(photos).Dispose();
        string file = Assert.Single(Files());
        byte[] whole = File.ReadAllBytes(file);
        Assert.Equal(2 * PhotoBytes, whole.Length);
        Tensor before;
        using (var again = Open(photos))
            before = again.Rows([0, 1]);
        Assert.Equal(2, Index(file).Length);

        byte[] damaged = [.. whole];
        damaged.AsSpan(200_000, 8).Fill(0xFF);          // in fp16 no numbers
        int lines = 2;
        foreach (var (bytes, lost) in new[] { (damaged, 1), (whole[..^1], 2), (Array.Empty<byte>(), 2) })
        {
            File.WriteAllBytes(file, bytes);
            using var features = Open(photos);
            AssertClose(before, features.Rows([0, 1]));
            Assert.Equal(lines += lost, Index(file).Length);
        }
    }

    [Fact]
    public void An_index_line_that_a_crash_cut_costs_its_photo_once()
    {
        var photos = Samples(2);
        Open(photos).Dispose();
        string file = Assert.Single(Files());
        string index = File.ReadAllText(file + ".index");
        File.WriteAllText(file + ".index", index[..^20]);
        Open(photos).Dispose();
        string mended = File.ReadAllText(file + ".index");
        Open(photos).Dispose();
        Assert.Equal(mended, File.ReadAllText(file + ".index"));
        Assert.Equal(3, Index(file).Length);
    }

    [Fact]
    public void Photos_are_encoded_once_whatever_split_they_are_in_and_another_encoder_has_a_file_of_its_own()
    {
        var photos = Samples(3);
        using var straight = Open(photos[..2]);
        string file = Assert.Single(Files());
        // Opened while it is open: another order, one twice, one that is new, one under another name in another place.
        string moved = Path.Combine(_folder, "moved.jpg");
        File.Copy(photos[0].Path, moved);
        using (var other = Open([photos[1], photos[2], photos[1], new CaptionedPhoto("moved.jpg", moved, [])]))
        {
            Assert.Equal(3, Index(Assert.Single(Files())).Length);
            Assert.Equal(3 * PhotoBytes, new FileInfo(file).Length);
            AssertSame(straight.Rows([1, 1, 0]), other.Rows([0, 2, 3]));
            AssertEncoded(other.Rows([1]), Pixels(3)[2].unsqueeze(0));
        }

        var weights = Safetensors.Load(DefaultModels.EncoderPath);
        weights["features.28.bias"].plus_(ones(1));
        string encoder = Path.Combine(_folder, "other.safetensors");
        Safetensors.Save(encoder, weights);
        using (var features = FeatureCache.Open(_folder, photos[..1], new PhotoEncoding(encoder), Augmentation.None, Silent, TestContext.Current.CancellationToken))
            Assert.True(features.Rows([0]).count_nonzero().item<long>() > straight.Rows([0]).count_nonzero().item<long>());
        Assert.Equal(2, Files().Length);

        static void AssertSame(Tensor a, Tensor b) => Assert.True(a.equal(b).all().item<bool>());
    }

    [Fact]
    public void What_is_cached_as_pool4_goes_only_through_the_last_block()
    {
        var photos = Samples(2);
        var encoding = new PhotoEncoding(DefaultModels.EncoderPath);
        Open([photos[0]], encoding with { Pool4 = true }).Dispose();
        // The second photo is said to have the first one's pool4: what is then seen of it shows where it was taken from.
        string index = Path.Combine(_folder, Assert.Single(Files()) + ".index");
        File.AppendAllText(index, File.ReadAllText(index).Replace(photos[0].Sha256, photos[1].Sha256, StringComparison.Ordinal));
        using var features = Open(photos, encoding);
        Assert.True(features.Rows([0]).equal(features.Rows([1])).all().item<bool>());
        AssertClose(features.Rows([0]), Vgg16Of(Pixels(1)));

        static Tensor Vgg16Of(Tensor pixels)
        {
            using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, EncoderPrecision.Float32);
            return encoder.Forward(pixels);
        }
    }

    [Fact]
    public void A_photo_that_cannot_be_read_is_named()
    {
        string broken = Path.Combine(_folder, "broken.jpg");
        File.WriteAllBytes(broken, File.ReadAllBytes(Samples(1)[0].Path)[..5000]);
        var refused = Assert.Throws<DatasetException>(() => Open([.. Samples(2), new CaptionedPhoto("broken.jpg", broken, [])]));
        Assert.StartsWith("broken.jpg: ", refused.Message);
    }

    /// <summary>The terminal that a pass reports to.</summary>
    private sealed class Listener(Action<string> heard) : StringWriter
    {
        public Listener(Action heard) : this(_ => heard()) { }

        public override void Write(string? value) => heard(value ?? "");
    }

    private static Progress Silent { get; } = new(TextWriter.Null, interactive: false);

    private FeatureCache Open(CaptionedPhoto[] photos, Augmentation augmentation = Augmentation.None, Progress? progress = null, CancellationTokenSource? stop = null) =>
        FeatureCache.Open(_folder, photos, new PhotoEncoding(DefaultModels.EncoderPath), augmentation, progress ?? Silent, stop?.Token ?? TestContext.Current.CancellationToken);

    private FeatureCache Open(CaptionedPhoto[] photos, PhotoEncoding encoding) =>
        FeatureCache.Open(_folder, photos, encoding, Augmentation.None, Silent, TestContext.Current.CancellationToken);

    /// <summary>The samples, again and again.</summary>
    private static CaptionedPhoto[] Samples(int count) =>
        [.. Enumerable.Range(0, count).Select(i => s_names[i % 6] + ".jpg").Select(name => new CaptionedPhoto(name, Path.Combine(JobFolder.Samples, name), []))];

    /// <summary>The samples, again and again, as files that differ after the photo's end.</summary>
    private CaptionedPhoto[] Different(int count) => [.. Samples(count).Select((photo, i) =>
    {
        string path = Path.Combine(_folder, $"{i}.jpg");
        File.WriteAllBytes(path, [.. File.ReadAllBytes(photo.Path), .. BitConverter.GetBytes(i)]);
        return new CaptionedPhoto(photo.Name, path, []);
    })];

    private static Tensor Pixels(int count) => Vgg16.Pixels([.. Samples(count).Select(p => Photo.Decode(File.ReadAllBytes(p.Path)))]);

    private string[] Files() => Directory.GetFiles(_folder, "*.features");

    private static string[] Index(string file) => [.. File.ReadAllLines(file + ".index").Where(l => l.Length > 0)];

    /// <summary>The cache chose its precision by measurement: one of the two it can be must give exactly these values.</summary>
    private static void AssertEncoded(Tensor features, Tensor pixels)
    {
        Assert.Equal(ScalarType.Float16, features.dtype);
        double least = double.MaxValue;
        foreach (var precision in new[] { EncoderPrecision.BFloat16, EncoderPrecision.Float32 })
        {
            using var encoder = Vgg16.Load(DefaultModels.EncoderPath, CPU, precision);
            var expected = encoder.Forward(pixels).to(ScalarType.Float16).to(ScalarType.Float32);
            least = Math.Min(least, features.to(ScalarType.Float32).sub(expected).norm().item<float>() / expected.norm().item<float>());
        }
        Assert.True(least < 1e-3, $"relative difference {least}");      // between the precisions it is ten times more
    }

    // Blocks may have been encoded in either precision.
    private static void AssertClose(Tensor a, Tensor b) =>
        Assert.InRange(a.to(ScalarType.Float32).sub(b.to(ScalarType.Float32)).norm().item<float>() / a.to(ScalarType.Float32).norm().item<float>(), 0, 0.03);
}
