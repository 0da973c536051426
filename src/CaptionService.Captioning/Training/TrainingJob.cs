using System.Text.Json;

namespace CaptionService.Captioning.Training;

/// <summary><c>job.json</c>: all a trainer needs to know. Relative paths start at the job's folder.</summary>
public sealed record TrainingJob
{
    /// <summary>Name of the model to be made.</summary>
    public required string Name { get; init; }

    /// <summary>Its version.</summary>
    public int Version { get; init; } = 1;

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; init; }

    /// <summary>Where the data is.</summary>
    public required DatasetPaths Data { get; init; }

    /// <summary>
    /// Captions of the same photos in other languages. All languages share the weights of the network except those of
    /// their words and learn in turns, so that each profits from what people said of a photo in the others; each leaves a model of its own.
    /// </summary>
    public IReadOnlyList<Companion> Companions { get; init; } = [];

    /// <summary>Models to learn from beside the human captions; null: none.</summary>
    public Teaching? Teachers { get; init; }

    /// <summary>Name of the <see cref="TrainingPreset"/> whose values hold for all options that the job does not give; null: <see cref="TrainingOptions"/>' own.</summary>
    public string? Preset { get; init; }

    /// <summary>How to train.</summary>
    public TrainingOptions Options { get; init; } = new();

    /// <summary>Folder of the model to start from: its words and weights; null: from nothing.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Minutes of training and validation, the encoding of the photos not counted; then the best so far is the model. null: no limit.</summary>
    public double? BudgetMinutes { get; init; }

    /// <summary>Folder of the feature cache; jobs over the same photos may share one.</summary>
    public string Features { get; init; } = "features";

    /// <summary>Number of this attempt; a result carries it. Where the folder's file <c>attempt</c> holds a greater one, this attempt writes nothing more.</summary>
    public int Attempt { get; init; } = 1;

    /// <summary>Camel case, unknown members refused: a misspelt option is an error, not a default.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        WriteIndented = true,
    };
}

/// <summary>A language that is learnt along; its model is left in the job's folder <c>model-LANGUAGE</c>.</summary>
/// <param name="Name">Name of its model.</param>
/// <param name="Language">Of the captions (BCP 47).</param>
/// <param name="Captions">Token file; it need not have captions of every photo.</param>
public sealed record Companion(string Name, string Language, string Captions);

/// <summary>
/// Models whose expectation of each next word is learnt beside the human one (Hinton et al. 2015, arXiv:1503.02531): several
/// know more together than each alone, and one can learn it from them.
/// </summary>
/// <param name="Models">Folders of models that have the words of the model to be made.</param>
/// <param name="Share">Of their mean expectation in what is learnt, 0..1; the rest is the human captions'.</param>
public sealed record Teaching(IReadOnlyList<string> Models, double Share = 0.7);

/// <summary>A data set on disk.</summary>
/// <param name="Photos">Folder of the photos.</param>
/// <param name="Captions">Token file: <c>photo#k&lt;TAB&gt;caption</c> on each line (Flickr8k, Flickr30k).</param>
/// <param name="Train">File with the names of the training photos, one a line.</param>
/// <param name="Dev">File with the names of the development photos, one a line.</param>
public sealed record DatasetPaths(string Photos, string Captions, string Train, string Dev);
