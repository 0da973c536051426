namespace CaptionService.Captioning.Models;

/// <summary>One file of a model bundle.</summary>
/// <param name="Name">Its name.</param>
/// <param name="MostBytes">The most bytes it may have; null: as many as a model may have.</param>
/// <param name="Needed">Whether every bundle has it.</param>
/// <param name="Meaning">What is in it.</param>
public sealed record BundleFile(string Name, long? MostBytes, bool Needed, string Meaning);

/// <summary>The files of a model bundle: one table for reading, writing, uploads and what is said of them.</summary>
public static class BundleFiles
{
    /// <summary>A name that the table gives.</summary>
    public const string Card = "model.json", Vocabulary = "vocabulary.txt", Decoder = "decoder.safetensors", Encoder = "encoder.safetensors",
        Adapter = "adapter.safetensors", ExpectedCider = Ranking.ExpectedCider.FileName, Calibration = Confidence.Calibration.FileName;

    /// <summary>Largest <c>model.json</c> and <c>calibration.json</c>, in bytes.</summary>
    public const int MaxJsonBytes = 1 << 20;

    /// <summary>All of them; no other file has a place in a bundle.</summary>
    public static IReadOnlyList<BundleFile> All { get; } =
    [
        new(Card, MaxJsonBytes, true, "what the model says of itself, and every other file's SHA-256"),
        new(Vocabulary, Language.Vocabulary.MaxFileBytes, true, "its words"),
        new(Decoder, null, true, "the weights of its decoder"),
        new(Encoder, null, false, "an encoder of its own"),
        new(Adapter, null, false, "what it has learnt of the encoder"),
        new(ExpectedCider, null, false, "what people can be expected to say, by which captions are searched and ranked"),
        new(Calibration, MaxJsonBytes, false, "what gives its captions their confidence"),
    ];

    /// <summary>Those whose SHA-256 is in <c>model.json</c>.</summary>
    internal static IReadOnlyList<BundleFile> Digested { get; } = [.. All.Skip(1)];

    /// <summary>The names as a sentence lists them: the needed ones, then those that may be missing.</summary>
    /// <param name="files">Some of <see cref="All"/>, in their order.</param>
    /// <param name="name">How a file is written; null: its name.</param>
    public static string List(IReadOnlyList<BundleFile> files, Func<BundleFile, string>? name = null)
    {
        name ??= file => file.Name;
        string[] needed = [.. files.Where(file => file.Needed).Select(name)], optional = [.. files.Where(file => !file.Needed).Select(name)];
        return $"{string.Join(", ", needed)} and, where they are there, {string.Join(", ", optional[..^1])} and {optional[^1]}";
    }
}
