using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Answer of <c>GET /training-presets</c>.</summary>
/// <param name="Presets">All of them.</param>
public sealed record TrainingPresetsResponse(IReadOnlyList<TrainingPresetResponse> Presets)
{
    internal static readonly TrainingPresetsResponse Instance = new([.. TrainingPreset.All.Select(preset =>
    {
        JsonElement defaults = JsonSerializer.SerializeToElement(preset.Options, Json.Requests);
        return new TrainingPresetResponse(preset.Name, preset.Description, preset.StartsFromActive,
            [.. TrainingOption.All.Select(o => new TrainingOptionResponse(o.Name, o.Type, defaults.GetProperty(o.Name), o.Minimum, o.Maximum, o.Values, o.Unit, o.Description, o.OfNetwork))]);
    })]);
}

/// <summary>One preset.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it is for.</param>
/// <param name="StartsFromActive">Whether it starts from the model in service when no <c>baseModel</c> is named.</param>
/// <param name="Options">Every option.</param>
public sealed record TrainingPresetResponse(string Name, string Description, bool StartsFromActive, IReadOnlyList<TrainingOptionResponse> Options);

/// <summary>One option.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Default">Its value in this preset.</param>
/// <param name="Minimum">Smallest value.</param>
/// <param name="Maximum">Largest value.</param>
/// <param name="Values">The values of a string.</param>
/// <param name="Unit">What it counts; null: a plain number.</param>
/// <param name="Description">What it does.</param>
/// <param name="OfNetwork">Whether a base model's own is kept, so that it cannot be set with one.</param>
public sealed record TrainingOptionResponse(string Name, string Type, JsonElement Default,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Minimum,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Maximum,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Values,
    string? Unit, string Description, bool OfNetwork);
