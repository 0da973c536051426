using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Storage;

/// <summary>Where the service keeps what must outlive it: section <c>Storage</c> of the configuration, or <c>Storage__Name</c> in the environment.</summary>
public sealed class StorageOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Storage";

    /// <summary>Name of the connection string, used with <see cref="Database"/> = postgres.</summary>
    public const string PostgresConnection = "Postgres";

    /// <summary>Folder of the database, data sets, jobs and models; made at start. Default: <c>data</c> under the current directory.</summary>
    [Required]
    public string Folder { get; init; } = "data";

    /// <summary>sqlite (default): a file in the folder. postgres: as <c>ConnectionStrings:Postgres</c> says.</summary>
    [AllowedValues("sqlite", "postgres")]
    public string Database { get; init; } = "sqlite";

    /// <summary>How long a statement may wait for another writer or for the server: 1 second to 5 minutes; then 503.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:05:00")]
    public TimeSpan DatabaseTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>The embedded database.</summary>
    public string DatabaseFile => In("captionservice.db");

    /// <summary>Canonical data sets, a folder each.</summary>
    public string Datasets => In("datasets");

    /// <summary>Job folders, as the trainer reads and writes them.</summary>
    public string Jobs => In("jobs");

    /// <summary>Folders of caption jobs: their photos and results.</summary>
    public string CaptionJobs => In("caption-jobs");

    /// <summary>Bundles of the registry: name/version.</summary>
    public string Models => In("models");

    /// <summary>Results of evaluations, kept: model, data set and split to a folder.</summary>
    public string Evaluations => In("evaluations");

    /// <summary>The feature cache that jobs share.</summary>
    public string Features => In("features");

    /// <summary>Photos that were sent with corrections, each under its SHA-256.</summary>
    public string Feedback => In("feedback");

    /// <summary>What is under way; emptied at start where no other server works in the folder.</summary>
    public string Temporary => In("tmp");

    private string In(string name) => Path.Combine(Path.GetFullPath(Folder), name);
}
