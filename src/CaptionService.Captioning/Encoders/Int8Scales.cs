using System.Text.Json;
using CaptionService.Captioning.Files;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// What a byte of each layer's activations stands for, when the encoder runs in int8: found on photos by the trainer's
/// <c>quantize</c>, and kept in a small file beside the encoder.
/// </summary>
/// <param name="EncoderSha256">SHA-256 of the encoder's file, which they are for.</param>
/// <param name="Photos">How many photos they were found on.</param>
/// <param name="Layers">Scale of what each convolution gives after its ReLU, by torchvision's name: <c>features.0</c> to
/// <c>features.26</c>; the last one gives floats.</param>
/// <param name="Adapters">The same of the last block as adapters change it, by the SHA-256 of the adapter's file. A block with none
/// runs in floats behind the rest in bytes.</param>
public sealed record Int8Scales(string EncoderSha256, int Photos, IReadOnlyDictionary<string, double> Layers,
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, double>> Adapters)
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true };

    /// <summary>The layers that need one up to pool4, in their order.</summary>
    public static IReadOnlyList<string> TrunkLayers { get; } = [.. new[] { 0, 2, 5, 7, 10, 12, 14, 17, 19, 21 }.Select(Layer)];

    /// <summary>Those of the last block.</summary>
    public static IReadOnlyList<string> BlockLayers { get; } = [.. Conv5.Indices.SkipLast(1).Select(Layer)];

    /// <summary>What a 1 of pool4 stands for.</summary>
    internal double Pool4 => Layers[TrunkLayers[^1]];

    private static string Layer(int index) => $"features.{index}";

    /// <summary>Where the file of an encoder is.</summary>
    public static string PathBeside(string encoderPath) => Path.ChangeExtension(encoderPath, ".int8.json");

    /// <summary>Those of the last block.</summary>
    /// <param name="adapterSha256">As an adapter changes it; null: as the encoder has it.</param>
    /// <returns>null where none are known.</returns>
    internal IReadOnlyDictionary<string, double>? Block(string? adapterSha256) =>
        adapterSha256 is null ? Layers : Adapters.GetValueOrDefault(adapterSha256);

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
        foreach (var (layers, needed) in scales.Adapters.Values.Select(block => (block, BlockLayers)).Prepend((scales.Layers, [.. TrunkLayers, .. BlockLayers])))
        {
            if (needed.FirstOrDefault(layer => !layers.TryGetValue(layer, out double scale) || !double.IsFinite(scale) || scale <= 0) is { } wrong)
                throw new ModelBundleException($"The int8 scales '{name}' have no positive number for '{wrong}'.");
        }
        return scales;
    }

    /// <summary>Writes them beside their encoder.</summary>
    public void Save(string encoderPath) => Durable.Replace(PathBeside(encoderPath), [.. JsonSerializer.SerializeToUtf8Bytes(this, s_json), (byte)'\n']);
}
