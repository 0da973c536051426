using System.Text.Json;
using CaptionService.Captioning.Files;
using CaptionService.Trainer.Optimize;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary><c>checkpoint.safetensors</c>: one file, replaced in one step, so that there is always a whole one.</summary>
internal static class Checkpoint
{
    /// <summary>Prefix of the names of the encoder's weights.</summary>
    public const string Encoder = "encoder.";

    private const string Name = "checkpoint.safetensors";

    public static void Save(string folder, Adam adam, Position position)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tensors = adam.Parameters.ToDictionary(p => "weights." + p.Key, p => (Tensor)p.Value);
        foreach (var (name, tensor) in adam.State)
            tensors.Add("adam." + name, tensor);
        SaveWhole(Path.Combine(folder, Name), tensors, new Dictionary<string, string> { ["position"] = JsonSerializer.Serialize(position) });
    }

    /// <returns>The position, or null when there is no checkpoint of this job.</returns>
    public static Position? Load(string folder, Adam adam, string job)
    {
        string path = Path.Combine(folder, Name);
        if (!File.Exists(path))
            return null;
        Position position;
        using (var stream = File.OpenRead(path))
            position = JsonSerializer.Deserialize<Position>(Safetensors.ReadHeader(stream).Metadata["position"])!;
        if (position.Job != job)
            return null;
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tensors = Safetensors.Load(path);
        foreach (var (name, parameter) in adam.Parameters)
            parameter.copy_(tensors["weights." + name]);
        adam.Load(adam.State.Keys.ToDictionary(n => n, n => tensors["adam." + n]), position.Step - position.StageStep);
        return position;
    }

    /// <summary>Saves the weights of a language's best epoch: the decoder's, and what was learnt of the encoder.</summary>
    public static void SaveBest(string folder, LanguageTask language, int epoch)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tensors = language.Decoder.state_dict().ToDictionary(p => p.Key, p => p.Value);
        foreach (var (name, tensor) in language.Encoder?.Adapter.state_dict() ?? [])
            tensors.Add(Encoder + name, tensor);
        SaveWhole(BestPath(folder, language, epoch), tensors, null);
    }

    /// <summary>Restores the weights of a language's best epoch.</summary>
    public static void LoadBest(string folder, LanguageTask language, int epoch)
    {
        using var scope = NewDisposeScope();
        string path = BestPath(folder, language, epoch);
        var parts = Safetensors.Load(path).ToLookup(p => p.Key.StartsWith(Encoder, StringComparison.Ordinal));
        StateDict.Fill(language.Decoder, parts[false].ToDictionary(p => p.Key, p => p.Value), Path.GetFileName(path), "the decoder");
        if (language.Encoder is { } encoder)
            StateDict.Fill(encoder.Adapter, parts[true].ToDictionary(p => p.Key[Encoder.Length..], p => p.Value), Path.GetFileName(path), "the encoder's adapter");
    }

    /// <summary>The file of an epoch's weights, which <see cref="SaveBest"/> writes.</summary>
    public static string BestPath(string folder, LanguageTask language, int epoch) => Path.Combine(folder, $"best-{language.Language}-{epoch}.safetensors");

    /// <summary>Removes the weights of all other epochs of a language.</summary>
    public static void KeepOnly(string folder, LanguageTask language, int epoch)
    {
        foreach (string file in Directory.GetFiles(folder, $"best-{language.Language}-*.safetensors"))
        {
            if (file != BestPath(folder, language, epoch))
                File.Delete(file);
        }
    }

    private static void SaveWhole(string path, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        try
        {
            Safetensors.Save(path + ".tmp", tensors, metadata);
            File.Move(path + ".tmp", path, overwrite: true);
        }
        catch (IOException)
        {
            File.Delete(path + ".tmp");         // the disk is full: what it holds of this is room for others
            throw;
        }
        Durable.Sync(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
