using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Ranking;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Models;

/// <summary>
/// A model on disk: a folder of <c>model.json</c>, <c>vocabulary.txt</c>, <c>decoder.safetensors</c> and, where the encoder was
/// replaced, <c>encoder.safetensors</c>, where its last block was fine-tuned, <c>adapter.safetensors</c>, where captions are ranked by what people are expected to say, <c>expected-cider.safetensors</c>, and, where its confidence was calibrated, <c>calibration.json</c>. Saved whole or not at all; nothing of it is used before its digest is checked.
/// </summary>
public sealed class ModelBundle : IDisposable
{
    /// <summary>Largest <c>model.json</c> and <c>calibration.json</c>, in bytes.</summary>
    public const int MaxJsonBytes = 1 << 20;

    /// <summary>The files of a bundle. The first three must be there.</summary>
    public const string CardFile = "model.json", VocabularyFile = "vocabulary.txt", DecoderFile = "decoder.safetensors", EncoderFile = "encoder.safetensors",
        AdapterFile = "adapter.safetensors", ExpectedCiderFile = "expected-cider.safetensors", CalibrationFile = "calibration.json";

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

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

    /// <summary>What says how near its captions are to those that people would write (<see cref="ExpectedCider"/>), or null: nothing does.</summary>
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
            var vocabulary = LoadVocabulary(Path.Combine(folder, VocabularyFile));
            if (vocabulary.Count != card.Decoder.VocabularySize)
                throw new ModelBundleException($"{VocabularyFile} of '{card.Name}' has {vocabulary.Count} words, {CardFile} says {card.Decoder.VocabularySize}.");
            var calibration = ReadCalibration(folder, card);
            CheckSize(card.Decoder, Path.Combine(folder, DecoderFile));
            var decoder = CaptionDecoder.Create(card.Decoder);
            try
            {
                LoadWeights(decoder, Path.Combine(folder, DecoderFile));
            }
            catch
            {
                decoder.Dispose();
                throw;
            }
            decoder.eval();
            return new ModelBundle(card, vocabulary, decoder, Optional(EncoderFile), Optional(AdapterFile), Optional(ExpectedCiderFile), calibration);

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
            throw new ModelBundleException($"{ExpectedCiderFile} of '{Card.Name}' cannot be loaded: {e.Message}", e);
        }
    }

    /// <summary>Reads <c>model.json</c> and checks every file against it, without loading weights.</summary>
    /// <exception cref="ModelBundleException">A file is missing or changed, or the card is out of range.</exception>
    public static ModelCard ReadCard(string folder)
    {
        string path = Path.Combine(folder, CardFile);
        if (!File.Exists(path))
            throw new ModelBundleException($"There is no {CardFile} in '{folder}'.");
        if (new FileInfo(path).Length > MaxJsonBytes)
            throw new ModelBundleException($"{CardFile} is larger than {MaxJsonBytes} bytes.");
        var card = ParseCard(File.ReadAllBytes(path));
        foreach (string file in (string[])[VocabularyFile, DecoderFile, .. card.Files.Keys])
        {
            if (file is not (VocabularyFile or DecoderFile or EncoderFile or AdapterFile or ExpectedCiderFile or CalibrationFile) || !card.Files.TryGetValue(file, out string? expected))
                throw new ModelBundleException($"{CardFile} must give the SHA-256 of {VocabularyFile}, {DecoderFile} and, where they are there, {EncoderFile}, {AdapterFile}, {ExpectedCiderFile} and {CalibrationFile}; '{file}' does not fit.");
            string inside = Path.Combine(folder, file);
            if (!File.Exists(inside))
                throw new ModelBundleException($"{file} is missing from the model '{card.Name}'.");
            string found = Sha256.OfFile(inside);
            if (!string.Equals(found, expected, StringComparison.OrdinalIgnoreCase))
                throw new ModelBundleException($"{file} of the model '{card.Name}' was changed: its SHA-256 is {found}, {CardFile} says {expected}.");
        }
        return card;
    }

    /// <summary>Reads the calibration of a bundle whose files were checked.</summary>
    /// <returns>null when it has none.</returns>
    /// <exception cref="ModelBundleException">It cannot be one.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Calibration? ReadCalibration(string folder, ModelCard card)
    {
        if (!card.Files.ContainsKey(CalibrationFile))
            return null;
        var file = new FileInfo(Path.Combine(folder, CalibrationFile));
        return file.Length <= MaxJsonBytes
            ? Calibration.Parse(File.ReadAllBytes(file.FullName), card.Decoder)
            : throw new ModelBundleException($"{CalibrationFile} is larger than {MaxJsonBytes} bytes.");
    }

    /// <summary>Reads the text of a <c>model.json</c>; the files it names are not looked at.</summary>
    /// <exception cref="ModelBundleException">It is no card, or out of range.</exception>
    public static ModelCard ParseCard(byte[] json)
    {
        ModelCard card;
        try
        {
            card = JsonSerializer.Deserialize<ModelCard>(json, s_json) ?? throw new ModelBundleException($"{CardFile} is null.");
        }
        catch (JsonException e)
        {
            throw new ModelBundleException($"{CardFile} is not a model card: {e.Message}", e);
        }
        CheckName(card.Name);
        if (card.Version < 1)
            throw new ModelBundleException($"{CardFile} gives version {card.Version}; versions are 1, 2, 3, …");
        CheckLanguage(card.Language);
        if (card.Uncalibrated is { Length: > 1000 })
            throw new ModelBundleException($"{CardFile} gives a reason of more than 1,000 characters for being uncalibrated.");
        card.Decoder.Check();
        return card with { Digest = Sha256.Of(json) };
    }

    /// <summary>Puts a checked bundle in its place in one step, made durable before.</summary>
    /// <param name="from">A folder on the same disk; it is gone afterwards.</param>
    /// <param name="folder">Where nothing may be yet.</param>
    public static void Install(string from, string folder)
    {
        foreach (string file in Directory.GetFiles(from))
            Durable.Sync(file);
        Durable.Sync(from);
        string parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)))!;
        Directory.CreateDirectory(parent);
        Directory.Move(from, folder);
        Durable.Sync(parent);
    }

    /// <summary>Saves a bundle: written to a temporary folder beside the place, made durable, then moved there in one step.</summary>
    /// <param name="folder">Where; what was there before is replaced.</param>
    /// <param name="card">Files and digest are filled in.</param>
    /// <param name="vocabulary">The words.</param>
    /// <param name="decoder">Saved in fp16.</param>
    /// <param name="encoderPath">Encoder weights to go along, or null.</param>
    /// <param name="adapter">What was learnt of the encoder, saved in fp16; null: nothing.</param>
    /// <returns>The card as saved.</returns>
    public static ModelCard Save(string folder, ModelCard card, Vocabulary vocabulary, CaptionDecoder decoder, string? encoderPath = null, EncoderAdapter? adapter = null)
    {
        CheckName(card.Name);
        return Replace(folder, card with { Decoder = decoder.Options }, temporary =>
        {
            vocabulary.Save(Path.Combine(temporary, VocabularyFile));
            StateDict.Save(decoder, Path.Combine(temporary, DecoderFile));
            if (encoderPath is not null)
                File.Copy(encoderPath, Path.Combine(temporary, EncoderFile));
            if (adapter is not null)
                StateDict.Save(adapter, Path.Combine(temporary, AdapterFile));
        });
    }

    /// <summary>Saves a bundle again with what is fitted to its captions: what people are expected to say, and a calibration or the reason why it has none; every other file stays byte for byte.</summary>
    /// <param name="from">The bundle.</param>
    /// <param name="folder">Where to save it; may be the same.</param>
    /// <param name="expected">What people are expected to say, or null.</param>
    /// <param name="calibration">Its calibration, or null.</param>
    /// <param name="uncalibrated">Why there is none; null when there is.</param>
    /// <returns>The card as saved.</returns>
    /// <exception cref="ModelBundleException">There is no whole bundle in <paramref name="from"/>.</exception>
    public static ModelCard SaveCalibrated(string from, string folder, ExpectedCider? expected, Calibration? calibration, string? uncalibrated)
    {
        var card = ReadCard(from);
        return Replace(folder, card with { Uncalibrated = uncalibrated }, temporary =>
        {
            foreach (string file in card.Files.Keys.Where(file => file is not (CalibrationFile or ExpectedCiderFile)))
                File.Copy(Path.Combine(from, file), Path.Combine(temporary, file));
            expected?.Save(Path.Combine(temporary, ExpectedCiderFile));
            if (calibration is not null)
                File.WriteAllBytes(Path.Combine(temporary, CalibrationFile), calibration.ToJson());
        });
    }

    /// <summary>Saves a bundle again with the decoder's matrices as int8 and without what was fitted to its captions: half the size.</summary>
    /// <param name="from">The bundle.</param>
    /// <param name="folder">Where to save it; may be the same.</param>
    /// <returns>The card as saved.</returns>
    /// <exception cref="ModelBundleException">There is no whole bundle in <paramref name="from"/>.</exception>
    public static ModelCard SaveInt8(string from, string folder)
    {
        using var bundle = Load(from);
        return Replace(folder, bundle.Card with { Uncalibrated = null }, temporary =>
        {
            foreach (string file in bundle.Card.Files.Keys.Where(file => file is not (CalibrationFile or ExpectedCiderFile or DecoderFile)))
                File.Copy(Path.Combine(from, file), Path.Combine(temporary, file));
            using var scope = NewDisposeScope();
            Safetensors.Save(Path.Combine(temporary, DecoderFile), Int8Weights.Narrow(bundle.Decoder.state_dict()), StateDict.Metadata);
        });
    }

    private static ModelCard Replace(string folder, ModelCard card, Action<string> write)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string temporary = $"{folder}.{Guid.NewGuid():N}.tmp";
        Directory.CreateDirectory(temporary);
        try
        {
            write(temporary);
            card = card with
            {
                Files = Directory.GetFiles(temporary).Order(StringComparer.Ordinal).ToDictionary(f => Path.GetFileName(f)!, Sha256.OfFile),
            };
            byte[] json = JsonSerializer.SerializeToUtf8Bytes(card, s_json);
            File.WriteAllBytes(Path.Combine(temporary, CardFile), json);
            foreach (string file in Directory.GetFiles(temporary))
                Durable.Sync(file);
            Durable.Sync(temporary);

            string? old = Directory.Exists(folder) ? $"{folder}.{Guid.NewGuid():N}.old" : null;
            if (old is not null)
                Directory.Move(folder, old);
            Directory.Move(temporary, folder);
            Durable.Sync(Path.GetDirectoryName(folder)!);
            if (old is not null)
                Directory.Delete(old, recursive: true);
            return card with { Digest = Sha256.Of(json) };
        }
        finally
        {
            if (Directory.Exists(temporary))
                Directory.Delete(temporary, recursive: true);
        }
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
            throw new ModelBundleException($"{VocabularyFile} cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Sizes that the file cannot hold are refused before memory is taken for them.</summary>
    private static void CheckSize(DecoderOptions options, string path)
    {
        using var stream = File.OpenRead(path);
        long values = Safetensors.ReadHeader(stream).Entries.Sum(e => e.Shape.Aggregate(1L, (product, size) => product * size));
        if (values < options.LeastParameters)
            throw new ModelBundleException($"{DecoderFile} holds {values} values, {CardFile} describes at least {options.LeastParameters}.");
    }

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

    /// <inheritdoc/>
    public void Dispose() => Decoder.Dispose();
}
