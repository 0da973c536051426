using System.Text.Json.Serialization;

namespace CaptionService.Trainer.Train;

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
    public BestEpoch BestOf(LanguageTask language) => Best.GetValueOrDefault(language.Language) ?? new BestEpoch(0, -1, new Dictionary<string, double>());

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
