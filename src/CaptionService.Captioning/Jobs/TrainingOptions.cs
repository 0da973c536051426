using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Captioning.Jobs;

/// <summary>What an option counts.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class UnitAttribute(string name) : Attribute
{
    /// <summary>In the plural: seconds, epochs.</summary>
    public string Name { get; } = name;
}

/// <summary>Every option of a training run: default, range and unit, once. Part of <c>job.json</c>.</summary>
public sealed record TrainingOptions
{
    /// <summary>Network: show-and-tell, show-attend-and-tell or top-down.</summary>
    [AllowedValues("show-and-tell", "show-attend-and-tell", "top-down"), Description("Network of the decoder.")]
    public string Architecture { get; init; } = "top-down";

    /// <summary>Size of a word vector.</summary>
    [Range(8, 4096), Description("Size of a word vector."), Unit("values")]
    public int Embedding { get; init; } = 384;

    /// <summary>Units of each LSTM.</summary>
    [Range(8, 4096), Description("Units of each LSTM."), Unit("units")]
    public int Hidden { get; init; } = 512;

    /// <summary>Heads of top-down's attention.</summary>
    [Range(1, 64), Description("Attention heads (top-down); must divide the hidden units."), Unit("heads")]
    public int Heads { get; init; } = 8;

    /// <summary>Units of show-attend-and-tell's attention.</summary>
    [Range(8, 4096), Description("Attention units (show-attend-and-tell)."), Unit("units")]
    public int Attention { get; init; } = 384;

    /// <summary>A word must be seen this often in the training captions to be learnt.</summary>
    [Range(1, 1000), Description("Times a word must be seen in the training captions to be learnt."), Unit("occurrences")]
    public int MinWordCount { get; init; } = 4;

    /// <summary>Whether words the base model does not know are added to its own, where they come <see cref="MinWordCount"/>
    /// times.</summary>
    [Description("Whether words that the base model does not know are added to its own, where they come minWordCount times.")]
    public bool NewWords { get; init; }

    /// <summary>Words of a training caption beyond this many are cut.</summary>
    [Range(4, 200), Description("Words of a training caption that are used; the rest is cut."), Unit("words")]
    public int MaxCaptionWords { get; init; } = 24;

    /// <summary>Photos of a step; each brings all its captions.</summary>
    [Range(1, 1024), Description("Photos of a training step; each brings all its captions."), Unit("photos")]
    public int BatchPhotos { get; init; } = 32;

    /// <summary>Captions of a step, whichever photos they belong to; 0: by photos.</summary>
    [Range(0, 4096), Description("Captions of a training step, drawn one by one from all photos; 0 = by photos (batchPhotos)."), Unit("captions")]
    public int BatchCaptions { get; init; }

    /// <summary>Passes over the training photos.</summary>
    [Range(0, 1000), Description("Passes over the training photos; 0 only for self-critical training of a base model."), Unit("epochs")]
    public int Epochs { get; init; } = 12;

    /// <summary>Largest learning rate.</summary>
    [Range(1e-7, 1.0), Description("Largest learning rate.")]
    public double LearningRate { get; init; } = 8e-4;

    /// <summary>Steps over which the learning rate grows to its largest.</summary>
    [Range(0, 1_000_000), Description("Steps over which the learning rate grows to its largest."), Unit("steps")]
    public int WarmupSteps { get; init; } = 200;

    /// <summary>How the learning rate falls: cosine, or exponential as in the tutorial.</summary>
    [AllowedValues("cosine", "exponential"), Description("How the learning rate falls after the warm-up.")]
    public string Schedule { get; init; } = "cosine";

    /// <summary>Cosine: share of the largest rate left at the end.</summary>
    [Range(0.0, 1.0), Description("Cosine: share of the largest rate left at the end."), Unit("share")]
    public double FinalLearningRate { get; init; } = 0.03;

    /// <summary>Exponential: factor per <see cref="DecayEpochs"/>.</summary>
    [Range(0.01, 1.0), Description("Exponential: factor by which the rate falls in decayEpochs.")]
    public double DecayRate { get; init; } = 0.95;

    /// <summary>Exponential: epochs in which the rate falls by <see cref="DecayRate"/>.</summary>
    [Range(0.01, 1000.0), Description("Exponential: epochs in which the rate falls by decayRate."), Unit("epochs")]
    public double DecayEpochs { get; init; } = 1;

    /// <summary>Adam's β1.</summary>
    [Range(0.0, 0.9999), Description("Adam's beta 1.")]
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Adam's β2.</summary>
    [Range(0.0, 0.99999), Description("Adam's beta 2.")]
    public double Beta2 { get; init; } = 0.98;

    /// <summary>Gradients are scaled down to this norm.</summary>
    [Range(0.01, 1000.0), Description("Norm the gradients are clipped to.")]
    public double GradientNorm { get; init; } = 1;

    /// <summary>Probability mass spread over all words.</summary>
    [Range(0.0, 0.9), Description("Label smoothing: probability mass spread over all words."), Unit("share")]
    public double LabelSmoothing { get; init; } = 0.1;

    /// <summary>Share of word vectors' and outputs' values dropped.</summary>
    [Range(0.0, 0.9), Description("Share of the word vectors' and outputs' values dropped."), Unit("share")]
    public double Dropout { get; init; } = 0.4;

    /// <summary>Passes of self-critical training (Rennie et al. 2017) after the others; top-down only.</summary>
    [Range(0, 1000), Description("Passes of self-critical training on CIDEr-D after the others (top-down only)."), Unit("epochs")]
    public int SelfCriticalEpochs { get; init; }

    /// <summary>Its largest learning rate.</summary>
    [Range(1e-8, 1.0), Description("Largest learning rate of self-critical training.")]
    public double SelfCriticalLearningRate { get; init; } = 5e-5;

    /// <summary>Captions drawn for each photo of a self-critical step; the mean reward of the others is a caption's baseline.</summary>
    [Range(2, 64), Description("Captions drawn for each photo of a self-critical step; each is compared with the mean of the others."), Unit("captions")]
    public int Samples { get; init; } = 5;

    /// <summary>Words a drawn caption's next word is drawn from: the most probable ones.</summary>
    [Range(2, 1000), Description("Self-critical training draws each word from this many of the most probable."), Unit("words")]
    public int SampleTop { get; init; } = 20;

    /// <summary>Weight of the cross-entropy of a human caption in the self-critical loss.</summary>
    [JsonPropertyName("anchor"), Range(0.0, 10.0), Description("Weight of a human caption's cross-entropy beside the reward, which keeps the language natural.")]
    public double CrossEntropyWeight { get; init; } = 0.1;

    /// <summary>Decay a step of the exponential average of the weights that is validated and saved; 0 = the weights themselves.</summary>
    [Range(0.0, 0.99999), Description("Decay per step of the averaged weights that are validated and saved; 0 = no averaging.")]
    public double WeightAverage { get; init; } = 0.998;

    /// <summary>Whether each photo is also seen mirrored (a second feature pass).</summary>
    [Description("Whether some of the photos are seen mirrored; costs a second feature pass.")]
    public bool Mirror { get; init; }

    /// <summary>Whether each photo is also seen in part (one more feature pass).</summary>
    [Description("Whether some of the photos are seen in part, cropped and stretched; costs one more feature pass.")]
    public bool Crop { get; init; }

    /// <summary>Rank of what is learnt of the encoder's last three convolutions (<see cref="Encoders.EncoderAdapter"/>); 0: nothing. A base
    /// model that has learnt of it keeps its own rank.</summary>
    [Range(0, Encoders.EncoderAdapter.MaxRank), Description("Rank of the change that is learnt of the encoder's last three convolutions (LoRA); 0 = the encoder stays as it is."), Unit("filters")]
    public int EncoderRank { get; init; }

    /// <summary>Whether the decoder stays as the base model has it, so that only <see cref="EncoderRank"/>'s change is learnt.</summary>
    [Description("Whether the decoder stays as the base model has it and only the encoder's change is learnt.")]
    public bool FreezeDecoder { get; init; }

    /// <summary>Share of the gain of a run from a base model in dev CIDEr that may be given up while the weights are moved back towards the
    /// base model's (Wortsman et al. 2022), so that less of what it knew is lost.</summary>
    [Range(0.0, 1.0), Description("Of a run from a base model: share of the gain in dev CIDEr that may be given up while the weights are moved back towards the base model's, so that less of what it knew is lost; 0 = they stay as learnt."), Unit("share")]
    public double GiveUp { get; init; }

    /// <summary>Epochs without a better dev CIDEr before the run stops early.</summary>
    [Range(1, 1000), Description("Epochs without a better dev CIDEr before the run stops early."), Unit("epochs")]
    public int Patience { get; init; } = 4;

    /// <summary>Beam width of the validation's search.</summary>
    [Range(1, 16), Description("Beam width of the validation's search."), Unit("hypotheses")]
    public int ValidationBeamWidth { get; init; } = 3;

    /// <summary>Matrix products: auto (measured), float32 or bfloat16.</summary>
    [AllowedValues("auto", "float32", "bfloat16"), Description("Number format of the matrix products; auto measures.")]
    public string Precision { get; init; } = "auto";

    /// <summary>Seconds between checkpoints; one is also written after each epoch.</summary>
    [Range(1, 86_400), Description("Seconds between checkpoints."), Unit("seconds")]
    public int CheckpointSeconds { get; init; } = 120;

    /// <summary>Seed of weights, order, dropout and sampling.</summary>
    [Range(0, int.MaxValue), Description("Seed of weights, order, dropout and sampling.")]
    public int Seed { get; init; } = 1;

    /// <summary>An option of older versions: their jobs and models say that it is 0.</summary>
    [JsonInclude, JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    private double ScheduledSampling { get; init; }

    /// <summary>The name of an option in a job file.</summary>
    public static string NameOf(PropertyInfo option) =>
        option.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name ?? JsonNamingPolicy.CamelCase.ConvertName(option.Name);

    /// <param name="hasBaseModel">Whether training starts from a model.</param>
    /// <exception cref="ValidationException">An option is out of its range, or does not go with another; the message names it and the
    /// range.</exception>
    public void Check(bool hasBaseModel)
    {
        foreach (var property in typeof(TrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            object? value = property.GetValue(this);
            foreach (var rule in property.GetCustomAttributes<ValidationAttribute>())
            {
                if (rule.IsValid(value))
                    continue;
                string allowed = rule switch
                {
                    RangeAttribute r => $"{r.Minimum} to {r.Maximum}",
                    AllowedValuesAttribute a => string.Join(", ", a.Values),
                    _ => "within its limits",
                };
                throw new ValidationException($"{NameOf(property)} is {value}; it must be {allowed}.");
            }
        }
        if (ScheduledSampling != 0)
            throw new ValidationException($"scheduledSampling is {ScheduledSampling}; there is no such option any more, leave it out.");
        if (Epochs + SelfCriticalEpochs == 0)
            throw new ValidationException("epochs is 0 and selfCriticalEpochs is 0; one must be 1 or more.");
        if (Epochs == 0 && !hasBaseModel)
            throw new ValidationException("epochs is 0; without a base model it must be 1 to 1000.");
        if (FreezeDecoder && EncoderRank == 0)
            throw new ValidationException("freezeDecoder is true and encoderRank is 0: there is nothing to learn.");
        if (FreezeDecoder && !hasBaseModel)
            throw new ValidationException("freezeDecoder is true; without a base model there is no decoder to keep.");
        if (SelfCriticalEpochs > 0 && Architecture != "top-down")
            throw new ValidationException($"selfCriticalEpochs is {SelfCriticalEpochs}; '{Architecture}' has no self-critical training, it must be 0.");
        if (Architecture == "top-down" && Hidden % Heads != 0)
            throw new ValidationException($"heads is {Heads}; it must divide hidden, which is {Hidden}.");
    }
}
