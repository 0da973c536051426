using System.Text;
using System.Text.Json;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Inspect;
using CaptionService.Trainer.Job;
using NetVips;
using Xunit;

namespace CaptionService.Trainer.Tests.Inspect;

/// <summary>The doctor's findings, one by one.</summary>
public sealed class DatasetInspectionTests : IDisposable
{
    private static readonly string[] s_samples = ["astronaut", "cat", "coffee", "flower", "rocket", "temple"];

    private readonly string _folder = Directory.CreateTempSubdirectory("dataset").FullName;
    private readonly List<string> _captions = [];

    public DatasetInspectionTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, DatasetFolder.Photos));
        foreach (string sample in s_samples)
        {
            Photo(sample + ".jpg", Sample(sample).JpegsaveBuffer());
            Caption(sample + ".jpg", $"a photo of the {sample} that is here", $"here is a photo of a {sample}");
        }
        Split(DatasetFolder.Train, "astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg");
        Split(DatasetFolder.Dev, "rocket.jpg", "temple.jpg");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_sound_data_set_is_counted_and_only_small()
    {
        DatasetReport report = Look();

        Assert.Equal(["few_photos", "rare_words"], report.Findings.Select(f => f.Code));
        Assert.Equal((6, 6, 0), (report.Photos.WithCaptions, report.Photos.Usable, report.Photos.Broken));
        Assert.Equal((12, 2.0, 8), (report.Captions.Usable, report.Captions.PerPhoto, report.Captions.MostWords));
        Assert.Equal((4, 2, 0, 0), (report.Splits.Train, report.Splits.Dev, report.Splits.Test, report.Splits.MovedOut));
        Assert.Equal((60, 11, 7), (report.Words.Total, report.Words.Distinct, report.Words.Learnable));
        Assert.StartsWith("Ready, with ", report.Summary, StringComparison.Ordinal);
        Assert.All(report.Findings, f => Assert.EndsWith(".", f.Message, StringComparison.Ordinal));
        Assert.Empty(Directory.GetFiles(_folder, "*.tmp"));
    }

    [Fact]
    public void Broken_photos_are_named_with_the_reason_and_leave_their_split()
    {
        byte[] whole = Sample("cat").JpegsaveBuffer();
        Photo("cut.jpg", whole[..(whole.Length / 2)]);
        Photo("text.jpg", Encoding.UTF8.GetBytes("no photo at all"));
        Photo("huge.jpg", new byte[PhotoLimits.MaxBytes + 1]);
        foreach (string name in (string[])["cut.jpg", "text.jpg", "huge.jpg", "gone.jpg"])
            Caption(name, "a photo that is broken");
        Split(DatasetFolder.Train, "astronaut.jpg", "cut.jpg", "text.jpg", "huge.jpg", "gone.jpg", "cat.jpg", "coffee.jpg", "flower.jpg");

        DatasetReport report = Look();

        DatasetFinding broken = Found(report, "broken_photos", FindingSeverity.Warning);
        Assert.Equal(4, broken.Count);
        Assert.Contains("cut.jpg: The JPEG is damaged or incomplete.", broken.Examples);
        Assert.Contains(broken.Examples, e => e.StartsWith("text.jpg: JPEG, PNG, WebP and GIF are accepted", StringComparison.Ordinal));
        Assert.Contains(broken.Examples, e => e.Contains("20000001 bytes", StringComparison.Ordinal));
        Assert.Equal(["astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg"], Names(DatasetFolder.Train));
        Assert.Equal(4, Found(Look(), "broken_photos", FindingSeverity.Warning).Count);     // a second look tells the same
    }

    [Theory]
    [InlineData("same bytes", "exact_duplicates", "cat.jpg = other.jpg")]
    [InlineData("saved again", "near_duplicates", "cat.jpg ~ other.jpg")]
    [InlineData("smaller", "near_duplicates", "cat.jpg ~ other.jpg")]
    [InlineData("brighter", "near_duplicates", "cat.jpg ~ other.jpg")]
    [InlineData("mirrored", "near_duplicates", "cat.jpg ~ other.jpg (mirrored)")]
    public void Duplicates_are_found(string how, string code, string example)
    {
        Photo("other.jpg", Changed("cat", how));
        Caption("other.jpg", "a photo of the cat once more");
        Split(DatasetFolder.Train, "astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg", "other.jpg");

        DatasetReport report = Look();

        Assert.Equal([example], Found(report, code, FindingSeverity.Warning).Examples);
        Assert.Equal(0, report.Splits.MovedOut);
        Assert.Equal(5, report.Splits.Train);
    }

    [Theory]
    [InlineData("same bytes")]
    [InlineData("saved again")]
    [InlineData("mirrored")]
    public void What_leaks_into_dev_is_moved_out_of_training(string how)
    {
        Photo("leak.jpg", Changed("rocket", how));
        Caption("leak.jpg", "a photo of the rocket once more");
        Split(DatasetFolder.Train, "astronaut.jpg", "cat.jpg", "leak.jpg", "coffee.jpg", "flower.jpg", "temple.jpg");     // temple: in dev by name

        DatasetReport report = Look();

        Assert.Equal(["leak.jpg ~ rocket.jpg", "temple.jpg ~ temple.jpg"], Found(report, "leaked_photos", FindingSeverity.Warning).Examples);
        Assert.Equal(["astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg"], Names(DatasetFolder.Train));
        Assert.Equal(["rocket.jpg", "temple.jpg"], Names(DatasetFolder.Dev));
        Assert.Equal(2, report.Splits.MovedOut);
        Assert.NotEmpty(Dataset.Load([DatasetFolder.Paths(_folder)], "/").Train);
    }

    [Fact]
    public void Different_photos_are_no_duplicates_not_even_without_contrast()
    {
        foreach (int grey in (int[])[0, 100, 255])
        {
            Photo($"grey{grey}.png", (NetVips.Image.Black(64, 64) + grey).Cast(Enums.BandFormat.Uchar).PngsaveBuffer());
            Caption($"grey{grey}.png", "a photo of the fog that is here");
        }
        Split(DatasetFolder.Train, "astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg", "grey0.png", "grey100.png", "grey255.png");

        Assert.DoesNotContain(Look().Findings, f => f.Code is "near_duplicates" or "exact_duplicates");
    }

    [Fact]
    public void Without_dev_some_training_photos_serve()
    {
        Split(DatasetFolder.Train, [.. s_samples.Select(s => s + ".jpg")]);
        Split(DatasetFolder.Dev);

        DatasetReport report = Look();

        Assert.Equal(1, Found(report, "dev_made", FindingSeverity.Info).Count);
        Assert.Equal((5, 1), (report.Splits.Train, report.Splits.Dev));
        Assert.Empty(Names(DatasetFolder.Train).Intersect(Names(DatasetFolder.Dev)));
    }

    [Fact]
    public void One_photo_is_an_error()
    {
        Split(DatasetFolder.Train, "cat.jpg");
        Split(DatasetFolder.Dev);

        DatasetReport report = Look();

        Found(report, "empty_split", FindingSeverity.Error);
        Assert.Equal(FindingSeverity.Error, report.Verdict);
        Assert.StartsWith("Not ready: ", report.Summary, StringComparison.Ordinal);
    }

    [Fact]
    public void No_photo_that_can_be_decoded_is_an_error()
    {
        foreach (string sample in s_samples)
            Photo(sample + ".jpg", [1, 2, 3]);

        Found(Look(), "no_photos", FindingSeverity.Error);
    }

    [Theory]
    [InlineData("en", "Ein Hund läuft mit einem Ball durch das Gras", true)]
    [InlineData("en", "一只棕色的狗在草地上奔跑", true)]
    [InlineData("en", "a dog runs through the grass", false)]
    [InlineData("en", "dog", false)]
    [InlineData("de", "A dog is running through the grass with a ball", true)]
    [InlineData("de", "Ein Hund läuft durch das Gras", false)]
    [InlineData("zh", "a dog runs through the grass", true)]
    [InlineData("zh-Hans", "一只棕色的狗在草地上奔跑", false)]
    [InlineData("ja", "茶色の犬が草の上を走っている", false)]
    [InlineData("ru", "Собака бежит по траве", false)]
    [InlineData("en", "Собака бежит по траве", true)]
    [InlineData("fr", "Un chien court dans les hautes herbes", false)]
    [InlineData("xx", "qwer tyui opas", false)]
    public void Another_language_is_told_when_it_is_sure(string language, string caption, bool other) =>
        Assert.Equal(other, LanguageGuess.IsOther(Tokenizer.For(language).Tokenize(caption), language));

    [Fact]
    public void Captions_of_another_language_are_found()
    {
        Caption("cat.jpg", "Eine Katze liegt auf einem Sofa und schläft");
        Assert.Equal(["cat.jpg: Eine Katze liegt auf einem Sofa und schläft"], Found(Look(), "other_language", FindingSeverity.Warning).Examples);
    }

    [Theory]
    [InlineData("IMG_1234.JPG", true)]
    [InlineData("photo 12", false)]
    [InlineData("1000268201_693b08cb0e", true)]
    [InlineData("DSC00123", true)]
    [InlineData("20240131", true)]
    [InlineData("a cat", false)]
    [InlineData("bad_decade", false)]
    [InlineData("2 dogs", false)]
    public void File_names_are_no_captions(string caption, bool name) => Assert.Equal(name, LanguageGuess.IsFileName(caption));

    [Fact]
    public void File_names_as_captions_are_found()
    {
        Caption("cat.jpg", "IMG_0042.jpg");
        Assert.Equal(1, Found(Look(), "file_name_captions", FindingSeverity.Warning).Count);
    }

    [Fact]
    public void Identical_captions_are_found()
    {
        foreach (string sample in s_samples)
            Caption(sample + ".jpg", "a nice photo");

        DatasetReport report = Look();

        Assert.Equal(0.3333, report.Captions.Identical);
        Assert.Equal("6 × a nice photo", Found(report, "identical_captions", FindingSeverity.Warning).Examples[0]);
    }

    [Fact]
    public void Long_short_and_rare_are_told()
    {
        Caption("cat.jpg", string.Join(' ', Enumerable.Repeat("a photo", 13)), "unheardof cat");

        DatasetReport report = Look();

        Assert.Equal(1, Found(report, "long_captions", FindingSeverity.Warning).Count);
        Assert.Equal(1, Found(report, "short_captions", FindingSeverity.Info).Count);
        Assert.Contains("unheardof", Assert.Single(report.Findings, f => f.Code == "rare_words").Examples);
    }

    [Fact]
    public void Words_that_never_come_back_are_an_error()
    {
        _captions.Clear();
        foreach (string sample in s_samples)
            Caption(sample + ".jpg", $"{sample}one {sample}two {sample}three");

        Found(Look(), "no_learnable_words", FindingSeverity.Warning);
    }

    [Fact]
    public void Training_time_is_estimated()
    {
        ReportedEstimate estimate = Look(estimate: true).Estimate!;

        Assert.InRange(estimate.PhotosPerSecond!.Value, 0.1, 10_000);
        Assert.InRange(estimate.SecondsPerStep, 0.001, 60);
        Assert.True(estimate.TotalMinutes >= 0);
    }

    [Fact]
    public void Given_features_need_no_photos()
    {
        Directory.Delete(Path.Combine(_folder, DatasetFolder.Photos), recursive: true);
        Features([.. s_samples.Select((_, i) => new float[] { i, i + 0.5f, -i })]);

        DatasetReport report = Look(estimate: true);

        Assert.True(report.Photos.Precomputed);
        Assert.Equal((6, 6), (report.Photos.WithCaptions, report.Photos.Usable));
        Assert.Null(report.Estimate!.PhotosPerSecond);
        var dataset = Dataset.Load([DatasetFolder.Paths(_folder)], "/");
        using var features = FeatureSource.Open(dataset, dataset.Dev, "nowhere", new PhotoEncoding("nowhere"), Augmentation.None, new Progress(TextWriter.Null, false), CancellationToken.None);
        Assert.True(features.SingleVector);
        Assert.Equal(3, features.Size);
        using var rows = features.Rows([1, 0]);
        Assert.Equal([5, 5.5f, -5, 4, 4.5f, -4], rows.data<float>().ToArray());
    }

    [Fact]
    public void Features_that_are_no_numbers_are_an_error()
    {
        Features([.. s_samples.Select((_, i) => new float[] { i, i == 3 ? float.NaN : 0 })]);
        Assert.Equal(["flower.jpg"], Found(Look(), "broken_features", FindingSeverity.Error).Examples);
    }

    [Fact]
    public void Features_of_other_photos_are_an_error()
    {
        Features([[1, 2], [3, 4]]);
        Assert.Contains("4 photos have no features", Found(Look(), "broken_features", FindingSeverity.Error).Message, StringComparison.Ordinal);
        Split(DatasetFolder.Names, [.. s_samples.Select(s => s + ".jpg")]);
        Assert.Contains("2 rows", Found(Look(), "broken_features", FindingSeverity.Error).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_program_writes_the_report()
    {
        File.WriteAllLines(Path.Combine(_folder, DatasetFolder.Captions), _captions);
        Assert.Equal(TrainerExit.Succeeded, Program.Main(["inspect", _folder, "--no-estimate"]));
        Assert.Equal("flickr", JsonSerializer.Deserialize<DatasetReport>(File.ReadAllBytes(Path.Combine(_folder, DatasetFolder.Report)), TrainingEvent.Json)!.Format);
        Assert.Equal(TrainerExit.BadJob, Program.Main(["inspect", _folder, "--unknown"]));
        Assert.Equal(TrainerExit.BadData, Program.Main(["inspect", Path.Combine(_folder, "none")]));
    }

    private DatasetReport Look(bool estimate = false)
    {
        File.WriteAllLines(Path.Combine(_folder, DatasetFolder.Captions), _captions);
        var import = new DatasetImport("flickr", "en", 6, _captions.Count, "data", []);
        return new DatasetInspection(_folder, import, estimate, new Progress(TextWriter.Null, interactive: false), TestContext.Current.CancellationToken).Report();
    }

    private static DatasetFinding Found(DatasetReport report, string code, FindingSeverity severity)
    {
        DatasetFinding finding = Assert.Single(report.Findings, f => f.Code == code);
        Assert.Equal(severity, finding.Severity);
        return finding;
    }

    private void Photo(string name, byte[] bytes) => File.WriteAllBytes(Path.Combine(_folder, DatasetFolder.Photos, name), bytes);

    private void Caption(string photo, params string[] captions) => _captions.AddRange(captions.Select((c, k) => $"{photo}#{k}\t{c}"));

    private void Split(string file, params string[] names) => File.WriteAllLines(Path.Combine(_folder, file), names);

    private string[] Names(string file) => File.ReadAllLines(Path.Combine(_folder, file));

    private void Features(float[][] rows)
    {
        using var array = TorchSharp.torch.tensor(rows.SelectMany(r => r).ToArray(), [rows.Length, rows[0].Length]);
        Npy.Save(Path.Combine(_folder, DatasetFolder.Features), array);
        File.WriteAllLines(Path.Combine(_folder, DatasetFolder.Names), s_samples.Take(rows.Length).Select(s => s + ".jpg"));
    }

    private static NetVips.Image Sample(string name) => NetVips.Image.Thumbnail(Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg"), 160);

    private static byte[] Changed(string sample, string how)
    {
        using NetVips.Image image = Sample(sample);
        return how switch
        {
            "same bytes" => image.JpegsaveBuffer(),
            "saved again" => image.JpegsaveBuffer(q: 40),
            "smaller" => image.Resize(0.6).WebpsaveBuffer(),
            "brighter" => (image * 1.08 + 4).Cast(Enums.BandFormat.Uchar).JpegsaveBuffer(),
            _ => image.Flip(Enums.Direction.Horizontal).JpegsaveBuffer(q: 85),
        };
    }
}
