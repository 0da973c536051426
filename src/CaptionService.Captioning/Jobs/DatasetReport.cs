using System.Text.Json.Serialization;

namespace CaptionService.Captioning.Jobs;

/// <summary>How much a finding matters.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<FindingSeverity>))]
public enum FindingSeverity
{
    /// <summary>Good to know.</summary>
    [JsonStringEnumMemberName("info")]
    Info,

    /// <summary>Training can start; its model may suffer.</summary>
    [JsonStringEnumMemberName("warning")]
    Warning,

    /// <summary>Nothing can be trained before this is mended.</summary>
    [JsonStringEnumMemberName("error")]
    Error,
}

/// <summary>One thing found in a data set.</summary>
/// <param name="Code">Stable name, for programs.</param>
/// <param name="Severity">info, warning or error; an error keeps jobs from starting.</param>
/// <param name="Count">How many photos, captions, files or words it concerns.</param>
/// <param name="Examples">Some of them.</param>
/// <param name="Message">What it means and what to do, for people.</param>
public sealed record DatasetFinding(string Code, FindingSeverity Severity, int Count, IReadOnlyList<string> Examples, string Message)
{
    /// <summary>Most examples of a finding.</summary>
    public const int MaxExamples = 10;

    /// <summary>A finding about named things, of which some are kept as examples.</summary>
    public static DatasetFinding Of(string code, FindingSeverity severity, IReadOnlyCollection<string> all, string message) =>
        new(code, severity, all.Count, [.. all.Take(MaxExamples)], message);
}

/// <summary><c>import.json</c>: what was noticed when the data set was brought into its canonical form.</summary>
/// <param name="Format">Format of the captions: flickr, coco, karpathy, table, json-lines, json-list or sidecar.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="PhotoFiles">Photos that came, with captions or without.</param>
/// <param name="CaptionLines">Captions that came, with a photo or without.</param>
/// <param name="SplitsFrom">data: the splits came with it; made: drawn by photo.</param>
/// <param name="Findings">What was found.</param>
public sealed record DatasetImport(string Format, string Language, int PhotoFiles, int CaptionLines, string SplitsFrom, IReadOnlyList<DatasetFinding> Findings);

/// <summary><c>report.json</c>: what the doctor says of a data set before anything is trained on it.</summary>
public sealed record DatasetReport
{
    /// <summary>The worst finding: info where nothing is wrong.</summary>
    public required FindingSeverity Verdict { get; init; }

    /// <summary>The report in one sentence.</summary>
    public required string Summary { get; init; }

    /// <summary>Format of the captions as they came.</summary>
    public required string Format { get; init; }

    /// <summary>Language of the captions (BCP 47).</summary>
    public required string Language { get; init; }

    /// <summary>Photos.</summary>
    public required ReportedPhotos Photos { get; init; }

    /// <summary>Captions.</summary>
    public required ReportedCaptions Captions { get; init; }

    /// <summary>Splits.</summary>
    public required ReportedSplits Splits { get; init; }

    /// <summary>Words of the training captions.</summary>
    public required ReportedWords Words { get; init; }

    /// <summary>How long training takes on this machine; null where it was not measured.</summary>
    public ReportedEstimate? Estimate { get; init; }

    /// <summary>The worst first.</summary>
    public required IReadOnlyList<DatasetFinding> Findings { get; init; }
}

/// <summary>Photos of a data set.</summary>
/// <param name="Found">Files that came.</param>
/// <param name="WithCaptions">Photos with captions; rows, where features are given.</param>
/// <param name="Usable">Photos with captions that can be decoded.</param>
/// <param name="Broken">Those that cannot.</param>
/// <param name="Precomputed">Whether features came instead of photos.</param>
public sealed record ReportedPhotos(int Found, int WithCaptions, int Usable, int Broken, bool Precomputed);

/// <summary>Captions of a data set.</summary>
/// <param name="Found">Captions that came.</param>
/// <param name="Usable">Captions of a usable photo.</param>
/// <param name="PerPhoto">Captions a photo, the mean.</param>
/// <param name="MeanWords">Words a caption, the mean.</param>
/// <param name="MedianWords">Words a caption, the median.</param>
/// <param name="MostWords">Words of the longest.</param>
/// <param name="Identical">Share of captions that another caption repeats word for word, 0..1.</param>
public sealed record ReportedCaptions(int Found, int Usable, double PerPhoto, double MeanWords, int MedianWords, int MostWords, double Identical);

/// <summary>Splits of a data set, in photos.</summary>
/// <param name="From">data: they came with it; made: drawn by photo.</param>
/// <param name="Train">To learn from.</param>
/// <param name="Dev">To choose by.</param>
/// <param name="Test">To judge by at the end.</param>
/// <param name="MovedOut">Taken out of training because dev or test has them, or nearly the same photo, too.</param>
public sealed record ReportedSplits(string From, int Train, int Dev, int Test, int MovedOut);

/// <summary>Words of the training captions.</summary>
/// <param name="Total">Words in all.</param>
/// <param name="Distinct">Different words.</param>
/// <param name="Learnable">Words that occur often enough to be learnt.</param>
/// <param name="MinCount">How often that is.</param>
/// <param name="RareShare">Share of all words that are too rare, 0..1.</param>
public sealed record ReportedWords(int Total, int Distinct, int Learnable, int MinCount, double RareShare);

/// <summary>How long training takes on this machine when it does little else, from rates measured on this data.</summary>
/// <param name="PhotosPerSecond">Photos encoded a second; null where features came instead.</param>
/// <param name="SecondsPerStep">Seconds of a training step.</param>
/// <param name="FeatureMinutes">Minutes until every photo is encoded, once.</param>
/// <param name="EpochMinutes">Minutes of one pass over the training photos.</param>
/// <param name="TotalMinutes">Minutes of a run with the default options.</param>
public sealed record ReportedEstimate(double? PhotosPerSecond, double SecondsPerStep, double FeatureMinutes, double EpochMinutes, double TotalMinutes);
