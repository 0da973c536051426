using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Ranking;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Models;

/// <summary>Saves model bundles: whole or not at all.</summary>
public static class BundleWriter
{
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
        ModelCard.CheckName(card.Name);
        return Replace(folder, card with { Decoder = decoder.Options }, temporary =>
        {
            vocabulary.Save(Path.Combine(temporary, BundleFiles.Vocabulary));
            StateDict.Save(decoder, Path.Combine(temporary, BundleFiles.Decoder));
            if (encoderPath is not null)
                File.Copy(encoderPath, Path.Combine(temporary, BundleFiles.Encoder));
            if (adapter is not null)
                StateDict.Save(adapter, Path.Combine(temporary, BundleFiles.Adapter));
        });
    }

    /// <summary>Saves a bundle again with what is fitted to its captions: what people are expected to say, and a calibration or the reason
    /// why it has none; every other file stays byte for byte.</summary>
    /// <param name="from">The bundle.</param>
    /// <param name="folder">Where to save it; may be the same.</param>
    /// <param name="expected">What people are expected to say, or null.</param>
    /// <param name="calibration">Its calibration, or null.</param>
    /// <param name="uncalibrated">Why there is none; null when there is.</param>
    /// <returns>The card as saved.</returns>
    /// <exception cref="ModelBundleException">There is no whole bundle in <paramref name="from"/>.</exception>
    public static ModelCard SaveCalibrated(string from, string folder, ExpectedCider? expected, Calibration? calibration, string? uncalibrated)
    {
        var card = ModelBundle.ReadCard(from);
        return Replace(folder, card with { Uncalibrated = uncalibrated }, temporary =>
        {
            foreach (string file in card.Files.Keys.Where(file => file is not (BundleFiles.Calibration or BundleFiles.ExpectedCider)))
                File.Copy(Path.Combine(from, file), Path.Combine(temporary, file));
            expected?.Save(Path.Combine(temporary, BundleFiles.ExpectedCider));
            if (calibration is not null)
                File.WriteAllBytes(Path.Combine(temporary, BundleFiles.Calibration), calibration.ToJson());
        });
    }

    /// <summary>Saves a bundle again with the decoder's matrices as int8 and without what was fitted to its captions: half the
    /// size.</summary>
    /// <param name="from">The bundle.</param>
    /// <param name="folder">Where to save it; may be the same.</param>
    /// <returns>The card as saved.</returns>
    /// <exception cref="ModelBundleException">There is no whole bundle in <paramref name="from"/>.</exception>
    public static ModelCard SaveInt8(string from, string folder)
    {
        using var bundle = ModelBundle.Load(from);
        return Replace(folder, bundle.Card with { Uncalibrated = null }, temporary =>
        {
            foreach (string file in bundle.Card.Files.Keys.Where(file => file is not (BundleFiles.Calibration or BundleFiles.ExpectedCider or BundleFiles.Decoder)))
                File.Copy(Path.Combine(from, file), Path.Combine(temporary, file));
            using var scope = NewDisposeScope();
            Safetensors.Save(Path.Combine(temporary, BundleFiles.Decoder), Int8Weights.Narrow(bundle.Decoder.state_dict()), StateDict.Metadata);
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
            byte[] json = card.ToJson();
            File.WriteAllBytes(Path.Combine(temporary, BundleFiles.Card), json);
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
}
