using System.Text.Json;
using System.Text.Json.Nodes;

namespace CaptionService.Captioning.Jobs;

/// <summary>A set of options with a name.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it is for.</param>
/// <param name="Options">Every option's value unless the job says otherwise.</param>
/// <param name="StartsFromActive">Whether it starts from the model in service when the job names none.</param>
public sealed record TrainingPreset(string Name, string Description, TrainingOptions Options, bool StartsFromActive)
{
    /// <summary>Show and Tell as the classic tutorial has it.</summary>
    public static readonly TrainingPreset Tutorial = new("tutorial",
        "The classic tutorial's model: the photo's mean feature (or the data set's own vectors) and 256 units of LSTM, Adam with exponential decay, 128 captions a step. Minutes, and plain captions.",
        new TrainingOptions
        {
            Architecture = "show-and-tell",
            Embedding = 256,
            Hidden = 256,
            BatchCaptions = 128,
            Epochs = 20,
            LearningRate = 2e-3,
            WarmupSteps = 0,
            Schedule = "exponential",
            DecayRate = 0.9,
            Beta2 = 0.999,
            GradientNorm = 5,
            LabelSmoothing = 0,
            Dropout = 0.3,
            WeightAverage = 0,
            Patience = 5,
        }, StartsFromActive: false);

    /// <summary>Show, Attend and Tell.</summary>
    public static readonly TrainingPreset Attend = new("attend",
        "Show, Attend and Tell from nothing (or from baseModel): an LSTM that attends to the photo's regions at every word. Between tutorial and best in time and in captions.",
        new TrainingOptions { Architecture = "show-attend-and-tell" }, StartsFromActive: false);

    /// <summary>A few epochs from the model in service.</summary>
    public static readonly TrainingPreset Quick = new("quick",
        "Fits the model in service (or baseModel) to these photos in a few epochs: its words stay, its decoder and the encoder's last block learn. Much better on such photos, and worse on those it knew.",
        new TrainingOptions { Epochs = 8, LearningRate = 1e-3, WarmupSteps = 20, Patience = 2, WeightAverage = 0.99, MinWordCount = 1, EncoderRank = 16 }, StartsFromActive: true);

    /// <summary>All that the product can.</summary>
    public static readonly TrainingPreset Best = new("best",
        "Trains a top-down attention model from nothing (or from baseModel), each photo also seen mirrored, then self-critically on CIDEr-D: hours for thousands of photos.",
        new TrainingOptions { Mirror = true, Epochs = 8, SelfCriticalEpochs = 5 }, StartsFromActive: false);

    /// <summary>The preset's options with those that a job changes.</summary>
    /// <param name="changes">The changed options by their names in JSON.</param>
    /// <exception cref="JsonException">An option is unknown, or its value is of the wrong type.</exception>
    public TrainingOptions With(IEnumerable<KeyValuePair<string, JsonNode?>> changes)
    {
        var options = JsonSerializer.SerializeToNode(Options, JobFile.Json)!.AsObject();
        foreach (var (name, value) in changes)
            options[name] = value?.DeepClone();
        return options.Deserialize<TrainingOptions>(JobFile.Json)!;
    }

    /// <summary>All presets.</summary>
    public static readonly IReadOnlyList<TrainingPreset> All = [Tutorial, Attend, Quick, Best];
}
