using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Captioning.Decoders;

namespace CaptionService.Captioning.Models;

/// <summary>What <c>model.json</c> says of a model.</summary>
public sealed record ModelCard
{
    /// <summary>Name, 1 to 64 of a–z, 0–9, '-', '_', '.'.</summary>
    public required string Name { get; init; }

    /// <summary>1, 2, 3, … within the name.</summary>
    public int Version { get; init; } = 1;

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; init; }

    /// <summary>Network and sizes.</summary>
    public required DecoderOptions Decoder { get; init; }

    /// <summary>SHA-256 of the encoder weights the decoder was trained on, in hexadecimal; null: on precomputed features.</summary>
    public string? EncoderSha256 { get; init; }

    /// <summary>How it was trained: data, photos, captions, epochs, seed and so on, as the trainer wrote them.</summary>
    public IReadOnlyDictionary<string, JsonElement> Training { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>Scores on the development split: BLEU-1..4 and ROUGE-L in 0..1, CIDEr in 0..10.</summary>
    public IReadOnlyDictionary<string, double> Scores { get; init; } = new Dictionary<string, double>();

    /// <summary>Why there is no calibration, as the trainer wrote it; null when there is one, or when the trainer did not try.</summary>
    public string? Uncalibrated { get; init; }

    /// <summary>SHA-256 of each other file of the bundle, in hexadecimal.</summary>
    public IReadOnlyDictionary<string, string> Files { get; init; } = new Dictionary<string, string>();

    /// <summary>Identity of the bundle: SHA-256 of <c>model.json</c>, which names every file's own.</summary>
    [JsonIgnore]
    public string Digest { get; init; } = "";

    /// <summary>Why captions have no confidence; null when they have one.</summary>
    [JsonIgnore]
    public string? WhyNoConfidence => Files.ContainsKey(ModelBundle.CalibrationFile) ? null
        : Uncalibrated ?? "The model was saved without a calibration; the trainer's calibrate verb makes one.";
}
