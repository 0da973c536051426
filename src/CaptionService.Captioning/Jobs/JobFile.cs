using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Captioning.Jobs;

/// <summary><c>job.json</c>: all a trainer needs to know. Relative paths start at the job's folder.</summary>
public sealed record JobFile
{
    /// <summary>Name of the model to be made.</summary>
    public required string Name { get; init; }

    /// <summary>Its version.</summary>
    public int Version { get; init; } = 1;

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; init; }

    /// <summary>Where the data is: one source, or a list of several.</summary>
    [JsonConverter(typeof(OneOrMore<DataSource>))]
    public required IReadOnlyList<DataSource> Data { get; init; }

    /// <summary>
    /// Multilingual training: captions of the same photos in other languages. All languages share the weights of the network except those of
    /// their words and learn in turns, so that each profits from what people said of a photo in the others; each leaves a model of its own.
    /// </summary>
    [JsonPropertyName("companions")]
    public IReadOnlyList<JobLanguage> OtherLanguages { get; init; } = [];

    /// <summary>Models to learn from beside the human captions; null: none.</summary>
    public Distillation? Teachers { get; init; }

    /// <summary>Name of the <see cref="TrainingPreset"/> whose values hold for all options that the job does not give; null:
    /// <see cref="TrainingOptions"/>' own.</summary>
    public string? Preset { get; init; }

    /// <summary>How to train.</summary>
    public TrainingOptions Options { get; init; } = new();

    /// <summary>Folder of the model to start from: its words and weights; null: from nothing.</summary>
    public string? BaseModel { get; init; }

    /// <summary>
    /// Folder of a model whose change of the encoder is taken over as it is, so that both share the encoder's whole pass in service;
    /// null: the base model's own, if it has one.
    /// </summary>
    public string? Adapter { get; init; }

    /// <summary>Minutes of training and validation, the encoding of the photos not counted; then the best so far is the model. null: no
    /// limit.</summary>
    public double? BudgetMinutes { get; init; }

    /// <summary>Folder of the feature cache; jobs over the same photos may share one.</summary>
    public string Features { get; init; } = "features";

    /// <summary>Number of this attempt; a result carries it. Where the folder's file <c>attempt</c> holds a greater one, this attempt
    /// writes nothing more.</summary>
    public int Attempt { get; init; } = 1;

    /// <summary>Camel case, unknown members refused: a misspelt option is an error, not a default.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        WriteIndented = true,
    };
}

/// <summary>A further language of multilingual training; its model is left in the job's folder <c>model-LANGUAGE</c>.</summary>
/// <param name="Name">Name of its model.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="Captions">Token file for the photos of the job's one source; it need not have captions of every photo. null: <paramref name="Data"/> says.</param>
/// <param name="Data">Sources of its own; null: those of the job, with <paramref name="Captions"/>.</param>
public sealed record JobLanguage(string Name, string Language,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Captions = null,
    [property: JsonConverter(typeof(OneOrMore<DataSource>)), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<DataSource>? Data = null)
{
    /// <summary>Its sources: its own, or that of the job with its captions.</summary>
    public IReadOnlyList<DataSource> Sources(JobFile job) => Data ?? [job.Data[0] with { Captions = Captions! }];
}

/// <summary>
/// Distillation (Hinton et al. 2015, arXiv:1503.02531): the model learns what others predict of each next word, beside the human
/// captions. Several know more together than each alone, and one can learn it from them.
/// </summary>
/// <param name="Models">Folders of models that have the words of the model to be made.</param>
/// <param name="Share">Share of their mean prediction in the target, 0..1; the rest is the human captions'.</param>
public sealed record Distillation(IReadOnlyList<string> Models, double Share = 0.7);

/// <summary>A source of training data on disk.</summary>
/// <param name="Photos">Folder of the photos.</param>
/// <param name="Captions">Token file: <c>photo#k&lt;TAB&gt;caption</c> on each line (Flickr8k, Flickr30k).</param>
/// <param name="Train">File with the names of the training photos, one a line.</param>
/// <param name="Dev">File with the names of the development photos, one a line; null: the source is only learnt from.</param>
public sealed record DataSource(string Photos, string Captions, string Train, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Dev = null)
{
    /// <summary><see cref="Trust"/> of captions that people wrote.</summary>
    public const string Human = "human";

    /// <summary><see cref="Trust"/> of captions that a model wrote.</summary>
    public const string ModelWritten = "model";

    /// <summary>Range of <see cref="Weight"/>.</summary>
    public const double LeastWeight = 0.01, MostWeight = 100;

    /// <summary>Name in events and reports; null: its number.</summary>
    public string? Name { get; init; }

    /// <summary>How often each of its photos is drawn in an epoch: 0.5 = a random half of them, 2 = each twice.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Who wrote the captions: <see cref="Human"/>, or <see cref="ModelWritten"/>, from which only the first half of the
    /// cross-entropy epochs learns, and by which nothing is judged.</summary>
    public string Trust { get; init; } = Human;

    /// <exception cref="ValidationException">A value is out of its range; the message names it and the range.</exception>
    public void Check()
    {
        if (Weight is not (>= LeastWeight and <= MostWeight))
            throw new ValidationException(string.Create(CultureInfo.InvariantCulture, $"The weight of a source is {Weight}; it must be {LeastWeight} to {MostWeight}."));
        if (Trust is not (Human or ModelWritten))
            throw new ValidationException($"The trust of a source is '{Trust}'; it must be {Human} or {ModelWritten}.");
    }
}

/// <summary>A list that may be written as its one element.</summary>
internal sealed class OneOrMore<T> : JsonConverter<IReadOnlyList<T>>
{
    public override IReadOnlyList<T> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.StartArray
            ? JsonSerializer.Deserialize<T[]>(ref reader, options)!
            : [JsonSerializer.Deserialize<T>(ref reader, options)!];

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<T> value, JsonSerializerOptions options)
    {
        if (value is [var one])
            JsonSerializer.Serialize(writer, one, options);
        else
            JsonSerializer.Serialize(writer, value.ToArray(), options);
    }
}
