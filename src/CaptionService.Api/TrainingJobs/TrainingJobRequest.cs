using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What to train.</summary>
public sealed class TrainingJobRequest
{
    /// <summary>Id of the data set; or there are <see cref="Datasets"/>.</summary>
    public string? Dataset { get; init; }

    /// <summary>Several data sets, in place of <see cref="Dataset"/>.</summary>
    public IReadOnlyList<TrainingDataset?>? Datasets { get; init; }

    /// <summary>tutorial, attend, quick (default) or best; see <c>GET /training-presets</c>.</summary>
    public string? Preset { get; init; }

    /// <summary>Model to start from, name or name@version. Default: with <c>quick</c> the one in service, else none.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Name of the model to be made; one that exists gets a next version. Default: the base model's, else the data set's.</summary>
    public string? Name { get; init; }

    /// <summary>Seed of all that is random, 0 to 2147483647.</summary>
    public int? Seed { get; init; }

    /// <summary>When to stop at the latest.</summary>
    public TrainingBudget? Budget { get; init; }

    /// <summary>Options that differ from the preset's; null is as good as absent.</summary>
    public Dictionary<string, JsonElement>? Options { get; init; }

    /// <summary>Whether the model goes into service when it is better than the active one. Default: false.</summary>
    public bool? ActivateIfBetter { get; init; }

    /// <summary>What is none of these, to be named in the refusal.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Unknown { get; init; }

    /// <exception cref="ProblemException">The body is no JSON, or a member is unknown or of the wrong type.</exception>
    internal static TrainingJobRequest Read(ReadOnlySpan<byte> body)
    {
        TrainingJobRequest? request;
        try
        {
            request = JsonSerializer.Deserialize<TrainingJobRequest>(body, Json.Requests);
        }
        catch (JsonException wrong) when (wrong.Path is { Length: > 2 } path && path[0] == '$')
        {
            throw Invalid($"{path[2..]} is of the wrong type.");
        }
        catch (JsonException wrong)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is no JSON object (line {wrong.LineNumber + 1}).");
        }
        if (request is null)
            throw new ProblemException(ProblemTable.MalformedBody, "The body is null.");
        CheckUnknown(request.Unknown, "", "dataset, datasets, preset, baseModel, name, seed, budget, options, activateIfBetter");
        CheckUnknown(request.Budget?.Unknown, "budget.", "minutes, epochs");
        return request;
    }

    /// <summary>The preset that is asked for.</summary>
    /// <exception cref="ProblemException">There is no such preset.</exception>
    internal TrainingPreset ChosenPreset() =>
        TrainingPreset.All.FirstOrDefault(p => p.Name == (Preset ?? TrainingPreset.Quick.Name))
        ?? throw Invalid($"preset is '{Preset!.Shortened()}'; it must be {string.Join(", ", TrainingPreset.All.Select(p => p.Name))}.");

    /// <summary>The data sets that are asked for, by <c>dataset</c> or by <c>datasets</c>.</summary>
    /// <exception cref="ProblemException">It is neither of them or both, or one is out of its range.</exception>
    internal IReadOnlyList<JobDataset> ChosenDatasets()
    {
        if (Datasets is null)
            return string.IsNullOrEmpty(Dataset) ? throw Invalid("dataset is missing: the id of one of GET /datasets; or datasets, for several.") : [JobDataset.Plain(Dataset)];
        if (!string.IsNullOrEmpty(Dataset))
            throw Invalid("dataset and datasets are both given; it must be one of them.");
        if (Datasets.Count is 0 or > JobDataset.Most)
            throw Invalid($"datasets has {Datasets.Count} entries; it must have 1 to {JobDataset.Most}.");
        JobDataset[] chosen = [.. Datasets.Select((given, i) => (given ?? new TrainingDataset()).Chosen($"datasets[{i}]"))];
        if (chosen.GroupBy(d => d.Id).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw Invalid($"datasets has '{twice.Key.Shortened()}' {twice.Count()} times; it must have each data set once.");
        return chosen.Any(d => d.Judges) ? chosen : throw Invalid($"datasets has none with trust {DataSource.Human}; it must have at least one, for the model to be judged by.");
    }

    /// <summary>The preset's options with what the request changes.</summary>
    /// <exception cref="ProblemException">One is unknown or out of range.</exception>
    internal TrainingOptions ChosenOptions(TrainingPreset preset, bool hasBase)
    {
        var changes = new Dictionary<string, JsonNode?>();
        foreach ((string name, JsonElement value) in Options ?? [])
        {
            TrainingOption option = TrainingOption.All.FirstOrDefault(o => o.Name == name)
                ?? throw Invalid(ShortText.NoSuch("option", name, [.. TrainingOption.All.Select(o => o.Name)]));
            if (value.ValueKind == JsonValueKind.Null)
                continue;
            if (hasBase && option.OfNetwork)
                throw Invalid($"options.{name} cannot be set: the base model's own is kept.");
            option.Check(value);
            changes[name] = JsonNode.Parse(value.GetRawText());
        }
        Set("seed", Seed);
        Set("epochs", Budget?.Epochs);
        if (Budget?.Minutes is { } minutes && minutes is not (>= TrainingBudget.LeastMinutes and <= TrainingBudget.MostMinutes))
            throw Invalid(string.Create(CultureInfo.InvariantCulture, $"budget.minutes is {minutes}; it must be {TrainingBudget.LeastMinutes} to {TrainingBudget.MostMinutes}."));
        TrainingOptions chosen = preset.With(changes);
        try
        {
            chosen.Check(hasBase);
        }
        catch (ValidationException wrong)
        {
            throw Invalid(wrong.Message);
        }
        return chosen;

        void Set(string name, int? value)
        {
            if (value is { } given)
            {
                TrainingOption.All.First(o => o.Name == name).Check(JsonSerializer.SerializeToElement(given));
                changes[name] = given;
            }
        }
    }

    internal static ProblemException Invalid(string what) => new(ProblemTable.InvalidOption, what);

    internal static void CheckUnknown(Dictionary<string, JsonElement>? unknown, string where, string known)
    {
        if (unknown is { Count: > 0 })
            throw Invalid(ShortText.NoSuch("member", where + unknown.Keys.First(), [.. known.Split(", ").Select(name => where + name)]));
    }
}

/// <summary>One data set of several to train on.</summary>
public sealed class TrainingDataset
{
    /// <summary>Its id.</summary>
    public string? Id { get; init; }

    /// <summary>How often each of its photos is drawn in an epoch, 0.01 to 100: 0.5 is a random half of them, 2 each twice. Default: 1.</summary>
    public double? Weight { get; init; }

    /// <summary>Who wrote the captions: human (default) or model.</summary>
    public string? Trust { get; init; }

    /// <summary>What is none of these, to be named in the refusal.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Unknown { get; init; }

    internal JobDataset Chosen(string where)
    {
        TrainingJobRequest.CheckUnknown(Unknown, $"{where}.", "id, weight, trust");
        if (string.IsNullOrEmpty(Id))
            throw TrainingJobRequest.Invalid($"{where}.id is missing: the id of one of GET /datasets.");
        if (Weight is { } weight and not (>= DataSource.LeastWeight and <= DataSource.MostWeight))
            throw TrainingJobRequest.Invalid(string.Create(CultureInfo.InvariantCulture, $"{where}.weight is {weight}; it must be {DataSource.LeastWeight} to {DataSource.MostWeight}."));
        return Trust is null or DataSource.Human or DataSource.ModelWritten
            ? new JobDataset(Id, Weight ?? 1, Trust ?? DataSource.Human)
            : throw TrainingJobRequest.Invalid($"{where}.trust is '{Trust.Shortened()}'; it must be {DataSource.Human} or {DataSource.ModelWritten}.");
    }
}

/// <summary>When to stop at the latest.</summary>
public sealed class TrainingBudget
{
    internal const double LeastMinutes = 0.01, MostMinutes = 100_000;

    /// <summary>Minutes of training and validation, 0.01 to 100000, the encoding of the photos not counted; then the best model so far is the result.</summary>
    public double? Minutes { get; init; }

    /// <summary>Passes over the training photos, 1 to 1000; the same as the option <c>epochs</c>.</summary>
    public int? Epochs { get; init; }

    /// <summary>What is none of these, to be named in the refusal.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Unknown { get; init; }
}
