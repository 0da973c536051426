using System.Linq.Expressions;
using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Storage;

/// <summary>One data set of a job.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Weight">How often each of its photos is drawn in an epoch.</param>
/// <param name="Trust"><c>human</c>, or <c>model</c>: a model wrote the captions; they are learnt from in the first half of the cross-entropy epochs, and never judged by.</param>
public sealed record JobDataset(string Id, double Weight, string Trust)
{
    /// <summary>Most data sets of a job.</summary>
    internal const int Most = 16;

    /// <summary>Whether models are judged by its development photos.</summary>
    internal bool Judges => Trust == DataSource.Human;

    /// <summary>One that people wrote, each photo once in an epoch.</summary>
    internal static JobDataset Plain(string id) => new(id, 1, DataSource.Human);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    internal static IReadOnlyList<JobDataset> Read(string json) => JsonSerializer.Deserialize<JobDataset[]>(json, TrainingEvent.Json)!;

    /// <summary>As the column has them; null for one plain one.</summary>
    internal static string? Write(IReadOnlyList<JobDataset> datasets) =>
        datasets is [var one] && one == Plain(one.Id) ? null : JsonSerializer.Serialize(datasets, TrainingEvent.Json);

    /// <summary>Whether a job uses a data set, for the database: an id needs no escape in JSON, so its text is looked for.</summary>
    internal static Expression<Func<TrainingJob, bool>> UsedBy(string id)
    {
        string named = $"{{\"id\":\"{id}\",";
        return job => job.DatasetId == id || job.Datasets!.Contains(named);
    }
}
