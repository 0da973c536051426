using System.Text.Json;
using CaptionService.Captioning.Files;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// What a byte of each channel of the encoder's activations stands for, when it runs in int8 up to pool4: found on photos by the
/// trainer's <c>quantize</c>, and kept in a small file beside the encoder.
/// </summary>
/// <param name="EncoderSha256">SHA-256 of the encoder's file, which they are for.</param>
/// <param name="Photos">How many photos they were found on.</param>
/// <param name="Layers">Scales of what each convolution gives after its ReLU, a number for each channel, by torchvision's name:
/// <c>features.0</c> to <c>features.19</c>. The last one gives floats, and so does the last block, which adapters change.</param>
/// <param name="Automatic">Whether <see cref="EncoderPrecision.Auto"/> may choose int8: once the captions' scores were found to allow it.</param>
public sealed record Int8Scales(string EncoderSha256, int Photos, IReadOnlyDictionary<string, float[]> Layers, bool Automatic = false)
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true };

    /// <summary>The layers that have some, in their order, and their channels.</summary>
    public static IReadOnlyList<(string Name, int Channels)> Needed { get; } =
        [("features.0", 64), ("features.2", 64), ("features.5", 128), ("features.7", 128), ("features.10", 256), ("features.12", 256), ("features.14", 256), ("features.17", 512), ("features.19", 512)];

    /// <summary>Where the file of an encoder is.</summary>
    public static string PathBeside(string encoderPath) => Path.ChangeExtension(encoderPath, ".int8.json");

    /// <summary>Reads those of an encoder.</summary>
    /// <exception cref="ModelBundleException">There are none, they are another encoder's, or the file is broken; the message says what to do.</exception>
    public static Int8Scales Load(string encoderPath, string encoderSha256)
    {
        string path = PathBeside(encoderPath), name = Path.GetFileName(path);
        if (!File.Exists(path))
            throw new ModelBundleException($"int8 needs the scales '{name}' beside the encoder: the trainer's 'quantize' makes them.");
        Int8Scales scales;
        try
        {
            scales = JsonSerializer.Deserialize<Int8Scales>(File.ReadAllBytes(path), s_json) ?? throw new JsonException("It is null.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ModelBundleException($"The encoder's int8 scales '{name}' cannot be read: {e.Message}", e);
        }
        if (!string.Equals(scales.EncoderSha256, encoderSha256, StringComparison.OrdinalIgnoreCase))
            throw new ModelBundleException($"The int8 scales '{name}' are for an encoder with SHA-256 {scales.EncoderSha256}; this one has {encoderSha256}. The trainer's 'quantize' makes them anew.");
        foreach (var (layer, channels) in Needed)
        {
            if (!scales.Layers.TryGetValue(layer, out float[]? its) || its.Length != channels || its.Any(scale => !float.IsFinite(scale) || scale <= 0))
                throw new ModelBundleException($"The int8 scales '{name}' must have {channels} positive numbers for '{layer}'.");
        }
        return scales;
    }

    /// <summary>Writes them beside their encoder.</summary>
    public void Save(string encoderPath) => Durable.Replace(PathBeside(encoderPath), [.. JsonSerializer.SerializeToUtf8Bytes(this, s_json), (byte)'\n']);
}
