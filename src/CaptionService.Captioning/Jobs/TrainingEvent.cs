using System.Text.Json;

namespace CaptionService.Captioning.Jobs;

/// <summary>One line of <c>events.jsonl</c>.</summary>
/// <param name="Id">1, 2, 3, … without gaps.</param>
/// <param name="Time">When it was written (UTC).</param>
/// <param name="Type">started, resumed, progress, epoch, checkpoint, moved-back, warning, stopped, failed, succeeded.</param>
/// <param name="Data">What happened; its members depend on the type.</param>
public sealed record TrainingEvent(long Id, DateTimeOffset Time, string Type, JsonElement Data)
{
    /// <summary>Camel case on one line.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web);
}
