using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests;

/// <summary>A small model with random weights, saved in a temporary folder.</summary>
internal sealed class SmallBundle : IDisposable
{
    public static readonly Vocabulary Words = Vocabulary.Parse(
        ["<pad>", "<start>", "<end>", "<unk>", .. "a the dog cat Rocket man woman cup of coffee temple flower on in table sky red black standing sits".Split(' ')]);

    private readonly string _parent = Directory.CreateTempSubdirectory("bundle").FullName;

    /// <summary>The lines of its file of words.</summary>
    public static IEnumerable<string> Lines => Enumerable.Range(0, Words.Count).Select(Words.Display);

    /// <summary>The bundle's folder.</summary>
    public string Folder { get; }

    /// <summary>As saved.</summary>
    public ModelCard Card { get; }

    /// <summary>The weights before they were saved.</summary>
    public CaptionDecoder Decoder { get; }

    public SmallBundle(string architecture, int seed = 1, string? encoderSha256 = null, string language = "en", string name = "small")
    {
        Folder = Path.Combine(_parent, name);
        manual_seed(seed);
        Decoder = Create(architecture);
        // Larger than a trained model's: each photo gets captions and attention of its own.
        using (NewDisposeScope())
        using (no_grad())
        using (Scalar two = 2L, four = 4L)
        {
            foreach (var (parameter, weight) in Decoder.named_parameters())
            {
                if (weight.dim() == 2)
                    weight.mul_(parameter.Contains("lstm", StringComparison.Ordinal) ? two : four);
            }
        }
        Card = BundleWriter.Save(Folder, Describe(Decoder, encoderSha256) with { Language = language, Name = name }, Words, Decoder);
    }

    /// <summary>Saves it with a calibration; of photos all that matter is that none is unfamiliar.</summary>
    public ModelCard Calibrate(Calibration? calibration = null) => BundleWriter.SaveCalibrated(Folder, Folder, null, calibration ?? Calibration(), null);

    /// <summary>Saves it expecting people to say one word of every photo.</summary>
    public ModelCard Expect(string word)
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(_parent, "expected");
        Safetensors.Save(path, new Dictionary<string, Tensor>
        {
            ["channels.mean"] = zeros(512),
            ["channels.std"] = ones(512),
            ["hidden.weight"] = zeros(1, 512, float16),
            ["hidden.bias"] = zeros(1, float16),
            ["output.weight"] = zeros(1, 1, float16),
            ["output.bias"] = ones(1, float16),
            ["ngrams"] = tensor(new[] { Words.Encode([word])[0], -1, -1, -1 }, [1, 4]),
            ["idf"] = ones(1, float16),
            ["vectors"] = ones(1, 1, int8),
            ["scales"] = ones(1, float16),
            ["unlisted_idf"] = ones(1),
        });
        using var expected = ExpectedCider.Load(path, Decoder.Options, CPU);
        return BundleWriter.SaveCalibrated(Folder, Folder, expected, null, "Too few photos.");
    }

    /// <summary>A calibration with round numbers.</summary>
    public static Calibration Calibration(double farthest = 1e6)
    {
        var check = new CalibrationCheck(120, 600, 0.3, 0.02, 0.01, 0.05, 0.02, 0.04, 0.2, 0.7,
            [new(300, 0.1, 0.12), new(300, 0.5, 0.48)], [new(0.5, 0.25, 0.6), new(0.9, 0, null)]);
        return new Calibration(Captioning.Confidence.Calibration.Meaning, new CalibratedSearch(5, 20, 0.7), -0.5,
            [new("meanLogProbability", -2, 0.5, 1.5), new("words", 10, 4, -0.25), new("spread", 1, 0.5, 0.125)],
            new FittedTo(240, 1200, 0.31), check, check with { Photos = 240 },
            new Familiarity(50, [.. Enumerable.Repeat(-2.0, 512)], [.. Enumerable.Repeat(1.0, 512)], [farthest]));
    }

    public string File(string name) => Path.Combine(Folder, name);

    public static CaptionDecoder Create(string architecture, int hidden = 32, int? vocabulary = null) => CaptionDecoder.Create(new DecoderOptions
    {
        Architecture = architecture,
        VocabularySize = vocabulary ?? Words.Count,
        Embedding = 16,
        Hidden = hidden,
        Heads = 4,
        Attention = 24,
    });

    public static ModelCard Describe(CaptionDecoder decoder, string? encoderSha256 = null) => new()
    {
        Name = "small",
        Language = "en",
        Decoder = decoder.Options,
        EncoderSha256 = encoderSha256,
        Training = new Dictionary<string, System.Text.Json.JsonElement> { ["epoch"] = System.Text.Json.JsonSerializer.SerializeToElement(3) },
        Scores = new Dictionary<string, double> { ["cider"] = 0.5 },
    };

    public void Dispose()
    {
        Decoder.Dispose();
        Directory.Delete(_parent, recursive: true);
    }
}
