using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Files;

namespace CaptionService.Captioning.Models;

/// <summary>What <c>model.json</c> says of a model.</summary>
public sealed record ModelCard
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

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
    public string? WhyNoConfidence => Files.ContainsKey(BundleFiles.Calibration) ? null
        : Uncalibrated ?? "The model was saved without a calibration; the trainer's calibrate verb makes one.";

    /// <summary>Reads the text of a <c>model.json</c>; the files it names are not looked at.</summary>
    /// <exception cref="ModelBundleException">It is no card, or out of range.</exception>
    public static ModelCard Parse(byte[] json)
    {
        ModelCard card;
        try
        {
            card = JsonSerializer.Deserialize<ModelCard>(json, s_json) ?? throw new ModelBundleException($"{BundleFiles.Card} is null.");
        }
        catch (JsonException e)
        {
            throw new ModelBundleException($"{BundleFiles.Card} is not a model card: {e.Message}", e);
        }
        CheckName(card.Name);
        if (card.Version < 1)
            throw new ModelBundleException($"{BundleFiles.Card} gives version {card.Version}; versions are 1, 2, 3, …");
        CheckLanguage(card.Language);
        if (card.Uncalibrated is { Length: > 1000 })
            throw new ModelBundleException($"{BundleFiles.Card} gives a reason of more than 1,000 characters for being uncalibrated.");
        card.Decoder.Check();
        return card with { Digest = Sha256.Of(json) };
    }

    /// <summary>The text of <c>model.json</c>.</summary>
    internal byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, s_json);

    /// <exception cref="ModelBundleException">The name is not one.</exception>
    internal static void CheckName(string name)
    {
        if (name.Length is 0 or > 64 || !char.IsAsciiLetterOrDigit(name[0]) || !name.All(c => char.IsAsciiDigit(c) || char.IsAsciiLetterLower(c) || c is '-' or '_' or '.'))
            throw new ModelBundleException($"'{name}' is no model name: 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit.");
    }

    /// <exception cref="ModelBundleException">The language is not one.</exception>
    internal static void CheckLanguage(string language)
    {
        if (language.Length is 0 or > 35 || !language.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'))
            throw new ModelBundleException($"'{(language.Length > 35 ? language[..35] + "…" : language)}' is no language: a BCP 47 tag of at most 35 characters, such as en or zh-Hans.");
    }
}
