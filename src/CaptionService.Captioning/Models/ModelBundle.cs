using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Ranking;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Models;

/// <summary>A model on disk: a folder of <see cref="BundleFiles"/>, checked and loaded. No file is used before its digest is
/// checked.</summary>
public sealed class ModelBundle : IDisposable
{
    /// <summary>What the model says of itself.</summary>
    public ModelCard Card { get; }

    /// <summary>Its words.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Its decoder, on the CPU, float32, in evaluation mode.</summary>
    public CaptionDecoder Decoder { get; }

    /// <summary>The bundle's own encoder weights, or null: it uses the shared ones.</summary>
    public string? EncoderPath { get; }

    /// <summary>What it changes of the encoder (<see cref="EncoderAdapter"/>), or null: nothing.</summary>
    public string? AdapterPath { get; }

    /// <summary>What says how near its captions are to those that people would write (<see cref="ExpectedCider"/>), or null: nothing
    /// does.</summary>
    public string? ExpectedCiderPath { get; }

    /// <summary>What gives its captions their confidence, or null: <see cref="ModelCard.WhyNoConfidence"/> says why.</summary>
    public Calibration? Calibration { get; }

    private ModelBundle(ModelCard card, Vocabulary vocabulary, CaptionDecoder decoder, string? encoderPath, string? adapterPath, string? expectedCiderPath, Calibration? calibration)
    {
        Card = card;
        Calibration = calibration;
        Vocabulary = vocabulary;
        Decoder = decoder;
        EncoderPath = encoderPath;
        AdapterPath = adapterPath;
        ExpectedCiderPath = expectedCiderPath;
    }

    /// <summary>Reads and checks a bundle.</summary>
    /// <exception cref="ModelBundleException">A file is missing, changed, broken, or does not fit the others.</exception>
    public static ModelBundle Load(string folder)
    {
        try
        {
            var card = ReadCard(folder);
            var vocabulary = LoadVocabulary(Path.Combine(folder, BundleFiles.Vocabulary));
            if (vocabulary.Count != card.Decoder.VocabularySize)
                throw new ModelBundleException($"{BundleFiles.Vocabulary} of '{card.Name}' has {vocabulary.Count} words, {BundleFiles.Card} says {card.Decoder.VocabularySize}.");
            var calibration = ReadCalibration(folder, card);
            CheckSize(card.Decoder, Path.Combine(folder, BundleFiles.Decoder));
            var decoder = CaptionDecoder.Create(card.Decoder);
            try
            {
                LoadWeights(decoder, Path.Combine(folder, BundleFiles.Decoder));
            }
            catch
            {
                decoder.Dispose();
                throw;
            }
            decoder.eval();
            return new ModelBundle(card, vocabulary, decoder, Optional(BundleFiles.Encoder), Optional(BundleFiles.Adapter), Optional(BundleFiles.ExpectedCider), calibration);

            string? Optional(string file) => card.Files.ContainsKey(file) ? Path.Combine(folder, file) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SafetensorsException)
        {
            throw new ModelBundleException($"The model in '{Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))}' cannot be loaded: {e.Message}", e);
        }
    }

    /// <summary>Reads <see cref="ExpectedCiderPath"/>.</summary>
    /// <returns>null where there is none.</returns>
    /// <exception cref="ModelBundleException">It does not fit the model.</exception>
    public ExpectedCider? LoadExpectedCider(Device device)
    {
        try
        {
            return ExpectedCiderPath is null ? null : ExpectedCider.Load(ExpectedCiderPath, Card.Decoder, device);
        }
        catch (SafetensorsException e)
        {
            throw new ModelBundleException($"{BundleFiles.ExpectedCider} of '{Card.Name}' cannot be loaded: {e.Message}", e);
        }
    }

    /// <summary>Reads <c>model.json</c> and checks every file against it, without loading weights.</summary>
    /// <exception cref="ModelBundleException">A file is missing or changed, or the card is out of range.</exception>
    public static ModelCard ReadCard(string folder)
    {
        string path = Path.Combine(folder, BundleFiles.Card);
        if (!File.Exists(path))
            throw new ModelBundleException($"There is no {BundleFiles.Card} in '{folder}'.");
        if (new FileInfo(path).Length > BundleFiles.MaxJsonBytes)
            throw new ModelBundleException($"{BundleFiles.Card} is larger than {BundleFiles.MaxJsonBytes} bytes.");
        var card = ModelCard.Parse(File.ReadAllBytes(path));
        string[] needed = [.. BundleFiles.Digested.Where(file => file.Needed).Select(file => file.Name)];
        foreach (string file in needed.Union(card.Files.Keys))
        {
            if (!BundleFiles.Digested.Any(known => known.Name == file) || !card.Files.TryGetValue(file, out string? expected))
                throw new ModelBundleException($"{BundleFiles.Card} must give the SHA-256 of {BundleFiles.List(BundleFiles.Digested)}; '{file}' does not fit.");
            string inside = Path.Combine(folder, file);
            if (!File.Exists(inside))
                throw new ModelBundleException($"{file} is missing from the model '{card.Name}'.");
            string found = Sha256.OfFile(inside);
            if (!string.Equals(found, expected, StringComparison.OrdinalIgnoreCase))
                throw new ModelBundleException($"{file} of the model '{card.Name}' was changed: its SHA-256 is {found}, {BundleFiles.Card} says {expected}.");
        }
        return card;
    }

    /// <summary>Reads the calibration of a bundle whose files were checked.</summary>
    /// <returns>null when it has none.</returns>
    /// <exception cref="ModelBundleException">It cannot be one.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Calibration? ReadCalibration(string folder, ModelCard card)
    {
        if (!card.Files.ContainsKey(BundleFiles.Calibration))
            return null;
        var file = new FileInfo(Path.Combine(folder, BundleFiles.Calibration));
        return file.Length <= BundleFiles.MaxJsonBytes
            ? Calibration.Parse(File.ReadAllBytes(file.FullName), card.Decoder)
            : throw new ModelBundleException($"{BundleFiles.Calibration} is larger than {BundleFiles.MaxJsonBytes} bytes.");
    }

    /// <summary>Copies weights into a decoder, which must have exactly these names and shapes.</summary>
    /// <exception cref="ModelBundleException">A name or shape does not fit.</exception>
    public static void LoadWeights(CaptionDecoder decoder, string path)
    {
        using var scope = NewDisposeScope();
        StateDict.Fill(decoder, Int8Weights.Widen(Safetensors.Load(path)), Path.GetFileName(path), $"a {decoder.Options.Architecture} decoder");
    }

    private static Vocabulary LoadVocabulary(string path)
    {
        try
        {
            return Vocabulary.Load(path);
        }
        catch (VocabularyException e)
        {
            throw new ModelBundleException($"{BundleFiles.Vocabulary} cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Sizes that the file cannot hold are refused before memory is taken for them.</summary>
    private static void CheckSize(DecoderOptions options, string path)
    {
        using var stream = File.OpenRead(path);
        long values = Safetensors.ReadHeader(stream).Entries.Sum(e => e.Shape.Aggregate(1L, (product, size) => product * size));
        if (values < options.LeastParameters)
            throw new ModelBundleException($"{BundleFiles.Decoder} holds {values} values, {BundleFiles.Card} describes at least {options.LeastParameters}.");
    }

    /// <inheritdoc/>
    public void Dispose() => Decoder.Dispose();
}
