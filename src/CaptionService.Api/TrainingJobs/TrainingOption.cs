using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>One option of training, as its property in <see cref="TrainingOptions"/> states it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Minimum">Smallest value of a number.</param>
/// <param name="Maximum">Largest value of a number.</param>
/// <param name="Values">The values of a string.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Description">What it does.</param>
/// <param name="OfNetwork">Whether it says how the network is made: a base model keeps its own.</param>
internal sealed record TrainingOption(string Name, string Type, double? Minimum, double? Maximum, IReadOnlyList<string>? Values, string? Unit, string Description, bool OfNetwork)
{
    private static readonly string[] Network =
        [nameof(TrainingOptions.Architecture), nameof(TrainingOptions.Embedding), nameof(TrainingOptions.Hidden), nameof(TrainingOptions.Heads), nameof(TrainingOptions.Attention), nameof(TrainingOptions.MinWordCount)];

    /// <summary>All, in the order of their definition.</summary>
    public static readonly IReadOnlyList<TrainingOption> All =
        [.. typeof(TrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.CanWrite).Select(Of)];

    /// <exception cref="ProblemException">The value is of another type or out of range.</exception>
    public void Check(JsonElement value)
    {
        bool fits = Type switch
        {
            "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
            "string" => value.ValueKind == JsonValueKind.String && Values!.Contains(value.GetString()),
            _ => value.ValueKind == JsonValueKind.Number && value.GetDouble() is var number && number >= Minimum && number <= Maximum && (Type == "number" || value.TryGetInt32(out _)),
        };
        if (!fits)
            throw TrainingJobRequest.Invalid($"{Name} is {value.GetRawText().Shortened()}; it must be {Range}.");
    }

    /// <summary>What it may be, in words.</summary>
    public string Range => Type switch
    {
        "boolean" => "true or false",
        "string" => string.Join(", ", Values!),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(Type == "integer" ? "a whole number" : "a number")} from {Minimum} to {Maximum}"),
    };

    private static TrainingOption Of(PropertyInfo property)
    {
        var range = property.GetCustomAttribute<RangeAttribute>();
        string type = property.PropertyType == typeof(bool) ? "boolean" : property.PropertyType == typeof(string) ? "string" : property.PropertyType == typeof(int) ? "integer" : "number";
        return new TrainingOption(TrainingOptions.NameOf(property), type,
            range is null ? null : Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture),
            range is null ? null : Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture),
            property.GetCustomAttribute<AllowedValuesAttribute>()?.Values.Cast<string>().ToArray(),
            property.GetCustomAttribute<UnitAttribute>()?.Name,
            property.GetCustomAttribute<DescriptionAttribute>()!.Description,
            Network.Contains(property.Name));
    }
}
