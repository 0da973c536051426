namespace CaptionService.Captioning.Jobs;

/// <summary>
/// The canonical form of a data set: one folder, whatever its owner sent. Names are safe file names, unique in any casing.
/// </summary>
public static class DatasetFolder
{
    /// <summary>Folder of the photos; empty where features came instead.</summary>
    public const string Photos = "photos";

    /// <summary><c>name#k&lt;TAB&gt;caption</c> on each line, the captions of a photo together.</summary>
    public const string Captions = "captions.token.txt";

    /// <summary>Names of the photos to learn from, one a line.</summary>
    public const string Train = "train.txt";

    /// <summary>Names of the photos to choose by.</summary>
    public const string Dev = "dev.txt";

    /// <summary>Names of the photos of the test split; only where the data has one.</summary>
    public const string Test = "test.txt";

    /// <summary>Names of photos that are in no split: broken, or taken out of training because another split has them too.</summary>
    public const string LeftOut = "left-out.txt";

    /// <summary>Features that came instead of photos: a row for each name of <see cref="Names"/>.</summary>
    public const string Features = "features.npy";

    /// <summary>The names in the order of the features.</summary>
    public const string Names = "names.txt";

    /// <summary>What the import found: <see cref="DatasetImport"/>.</summary>
    public const string Import = "import.json";

    /// <summary>The doctor's report: <see cref="DatasetReport"/>.</summary>
    public const string Report = "report.json";

    /// <summary>The paths of a data set for a job.</summary>
    public static DataSource Paths(string folder) =>
        new(Path.Combine(folder, Photos), Path.Combine(folder, Captions), Path.Combine(folder, Train), Path.Combine(folder, Dev));
}
