using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Captioning.Files;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>
/// Where a run is. With the weights and the optimiser's state it is all there is to resume: learning rate, order of photos,
/// dropout and sampling are functions of the seed and the step.
/// </summary>
internal sealed record Position
{
    /// <summary>Steps made.</summary>
    public long Step { get; init; }

    /// <summary>Stage under way: 0, 1, …</summary>
    public int Stage { get; init; }

    /// <summary>Steps made before it began.</summary>
    public long StageStep { get; init; }

    /// <summary>Epochs made before the stage began.</summary>
    public int StageEpoch { get; init; }

    /// <summary>Going on with the stage would only spoil what it has reached.</summary>
    public bool StageOver { get; init; }

    /// <summary>Steps of the epoch so far whose loss is a number: what the sums are over.</summary>
    public int Summed { get; init; }

    /// <summary>Steps in a row, up to now, whose loss or gradient is not a number.</summary>
    public int Broken { get; init; }

    /// <summary>Sum of the losses over the epoch so far.</summary>
    public double LossSum { get; init; }

    /// <summary>Sum of the negative log-likelihoods over the epoch so far.</summary>
    public double NllSum { get; init; }

    /// <summary>Mean loss of the epoch so far.</summary>
    [JsonIgnore]
    public double Loss => LossSum / Math.Max(Summed, 1);

    /// <summary>Mean negative log-likelihood of the epoch so far.</summary>
    [JsonIgnore]
    public double Nll => NllSum / Math.Max(Summed, 1);

    /// <summary>Each language's best epoch.</summary>
    public IReadOnlyDictionary<string, BestEpoch> Best { get; init; } = new Dictionary<string, BestEpoch>();

    /// <summary>A language's best epoch; before there is one, epoch 0, which anything betters.</summary>
    public BestEpoch BestOf(LearntLanguage language) => Best.GetValueOrDefault(language.Language) ?? new BestEpoch(0, -1, new Dictionary<string, double>());

    /// <summary>Seconds spent on steps and validations, over all attempts.</summary>
    public double Seconds { get; init; }

    /// <summary>The budget is spent.</summary>
    public bool OutOfTime { get; init; }

    /// <summary>Mean loss of the first epoch, and of the one before this.</summary>
    public double FirstLoss { get; init; }

    /// <summary>Mean loss of the epoch before this.</summary>
    public double LastLoss { get; init; }

    /// <summary>Epochs in a row whose loss rose.</summary>
    public int Rising { get; init; }

    /// <summary>Epochs in a row in which most dev photos got the same caption.</summary>
    public int Same { get; init; }

    /// <summary>Why going on is useless; null where it is not.</summary>
    public string? Useless { get; init; }

    /// <summary>Number format of the products: where it was measured, a resumed run keeps what the first chose.</summary>
    public string Precision { get; init; } = "";

    /// <summary>Digest of the job: another job's checkpoint is not resumed.</summary>
    public string Job { get; init; } = "";
}

/// <summary>An epoch and what it reached on the development photos.</summary>
/// <param name="Epoch">1, 2, …; 0: none.</param>
/// <param name="Cider">0..10.</param>
/// <param name="Scores">By name.</param>
internal sealed record BestEpoch(int Epoch, double Cider, IReadOnlyDictionary<string, double> Scores);

/// <summary><c>checkpoint.safetensors</c>: one file, replaced in one step, so that there is always a whole one.</summary>
internal static class Checkpoint
{
    /// <summary>Before the names of what is learnt of the encoder.</summary>
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

    /// <summary>Keeps the weights of a language's best epoch aside: the decoder's, and what was learnt of the encoder.</summary>
    public static void SaveBest(string folder, LearntLanguage language, int epoch)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tensors = language.Decoder.state_dict().ToDictionary(p => p.Key, p => p.Value);
        foreach (var (name, tensor) in language.Encoder?.Adapter.state_dict() ?? [])
            tensors.Add(Encoder + name, tensor);
        SaveWhole(BestPath(folder, language, epoch), tensors, null);
    }

    /// <summary>Takes the weights of a language's best epoch back.</summary>
    public static void LoadBest(string folder, LearntLanguage language, int epoch)
    {
        using var scope = NewDisposeScope();
        string path = BestPath(folder, language, epoch);
        var parts = Safetensors.Load(path).ToLookup(p => p.Key.StartsWith(Encoder, StringComparison.Ordinal));
        StateDict.Fill(language.Decoder, parts[false].ToDictionary(p => p.Key, p => p.Value), Path.GetFileName(path), "the decoder");
        if (language.Encoder is { } encoder)
            StateDict.Fill(encoder.Adapter, parts[true].ToDictionary(p => p.Key[Encoder.Length..], p => p.Value), Path.GetFileName(path), "the encoder's adapter");
    }

    /// <summary>Where <see cref="SaveBest"/> put an epoch's weights.</summary>
    public static string BestPath(string folder, LearntLanguage language, int epoch) => Path.Combine(folder, $"best-{language.Language}-{epoch}.safetensors");

    /// <summary>Removes the weights of all other epochs of a language.</summary>
    public static void KeepOnly(string folder, LearntLanguage language, int epoch)
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
