using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace CaptionService.Client;

/// <summary>How what is sent and read is written in JSON, made at build: programs that are trimmed or compiled ahead of time, as
/// <c>dotnet run file.cs</c> does, have no reflection for it.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CaptionChangesResponse))]
[JsonSerializable(typeof(CaptionComparisonRequest))]
[JsonSerializable(typeof(CaptionJobResponse))]
[JsonSerializable(typeof(CaptionJobResult))]
[JsonSerializable(typeof(CaptionJobResultsResponse))]
[JsonSerializable(typeof(CaptionJobSource))]
[JsonSerializable(typeof(CaptionJobsResponse))]
[JsonSerializable(typeof(CaptionsResponse))]
[JsonSerializable(typeof(CheckpointsResponse))]
[JsonSerializable(typeof(DatasetItemsResponse))]
[JsonSerializable(typeof(DatasetResponse))]
[JsonSerializable(typeof(DatasetSource))]
[JsonSerializable(typeof(DatasetsResponse))]
[JsonSerializable(typeof(FeedbackListResponse))]
[JsonSerializable(typeof(FeedbackResponse))]
[JsonSerializable(typeof(FeedbackTexts))]
[JsonSerializable(typeof(ModelResponse))]
[JsonSerializable(typeof(ModelVersionResponse))]
[JsonSerializable(typeof(ModelsResponse))]
[JsonSerializable(typeof(ProblemDetails))]
[JsonSerializable(typeof(TrainingEventsResponse))]
[JsonSerializable(typeof(TrainingJobRequest))]
[JsonSerializable(typeof(TrainingJobResponse))]
[JsonSerializable(typeof(TrainingJobsResponse))]
[JsonSerializable(typeof(TrainingMetricsResponse))]
[JsonSerializable(typeof(TrainingPresetsResponse))]
internal sealed partial class ClientJson : JsonSerializerContext
{
    /// <summary>How one type is written.</summary>
    public static JsonTypeInfo<T> Of<T>() => (JsonTypeInfo<T>)Default.GetTypeInfo(typeof(T))!;
}

/// <summary>Where the photos of a caption job are, when they are not sent with it.</summary>
internal sealed record CaptionJobSource(string? Dataset, string? Folder);

/// <summary>What a data set is made of, when it is not sent.</summary>
internal sealed record DatasetSource(string? Folder, string? Name, string? Language, bool? Feedback = null);
