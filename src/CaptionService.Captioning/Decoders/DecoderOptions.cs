using System.Text.Json.Serialization;
using CaptionService.Captioning.Files;

namespace CaptionService.Captioning.Decoders;

/// <summary>The decoder of a model: which network, how large. Part of <c>model.json</c>.</summary>
public sealed record DecoderOptions
{
    /// <summary>The networks there are.</summary>
    public static IReadOnlyList<string> Architectures { get; } = ["show-and-tell", "show-attend-and-tell", "top-down"];

    /// <summary>One of <see cref="Architectures"/>.</summary>
    public string Architecture { get; init; } = "top-down";

    /// <summary>Words the decoder knows, the four special ones included.</summary>
    public int VocabularySize { get; init; }

    /// <summary>Size of a word vector, 1..4096.</summary>
    public int Embedding { get; init; } = 384;

    /// <summary>Units of each LSTM, 1..4096.</summary>
    public int Hidden { get; init; } = 512;

    /// <summary>Heads of top-down's dot-product attention; divides <see cref="Hidden"/>.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>Units of show-attend-and-tell's additive attention.</summary>
    public int Attention { get; init; } = 384;

    /// <summary>Values of one image feature: 512 for regions of conv5_3, 4096 for fc7.</summary>
    public int FeatureSize { get; init; } = 512;

    /// <summary>Whether the features are one vector a photo (fc7 or a precomputed one) instead of 196 regions.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool SingleVector { get; init; }

    /// <summary>Whether the decoder can tell where it looked.</summary>
    [JsonIgnore]
    public bool Attends => Architecture != "show-and-tell";

    /// <summary>Values that the network's largest tensors hold: a file with fewer cannot be its weights.</summary>
    [JsonIgnore]
    internal long LeastParameters
    {
        get
        {
            long v = VocabularySize, e = Embedding, h = Hidden, f = FeatureSize, a = Attention;
            return v * e + Architecture switch
            {
                "show-and-tell" => f * e + 4 * h * (e + h) + v * h,
                "show-attend-and-tell" => 4 * h * (e + f + h) + 3 * h * f + a * (f + h) + v * (h + f),
                _ => 4 * h * (e + f + 5 * h) + 2 * f * h,
            };
        }
    }

    /// <exception cref="ModelBundleException">A value is out of range.</exception>
    internal void Check()
    {
        if (!Architectures.Contains(Architecture))
            throw new ModelBundleException($"Unknown architecture '{Architecture}'; there are {string.Join(", ", Architectures)}.");
        foreach (var (name, value, max) in new[]
        {
            (nameof(VocabularySize), VocabularySize, 1_000_000), (nameof(Embedding), Embedding, 4096), (nameof(Hidden), Hidden, 4096),
            (nameof(Heads), Heads, 64), (nameof(Attention), Attention, 4096), (nameof(FeatureSize), FeatureSize, 65_536),
        })
        {
            if (value < 1 || value > max)
                throw new ModelBundleException($"Decoder option {name} is {value}; it must be 1 to {max}.");
        }
        if (Architecture == "top-down" && Hidden % Heads != 0)
            throw new ModelBundleException($"{Heads} heads do not divide {Hidden} hidden units.");
        if (Attends && SingleVector)
            throw new ModelBundleException($"'{Architecture}' attends to regions: it cannot work from a single vector a photo.");
    }
}
