namespace CaptionService.Tests;

/// <summary>The repository's own files, which tests hold to the code.</summary>
internal static class Repository
{
    /// <summary>Its folder: the first above the tests that has the solution.</summary>
    public static string Root { get; } = Find();

    /// <summary>The text of a file.</summary>
    /// <param name="file">Its path in the repository.</param>
    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    private static string Find()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "CaptionService.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new DirectoryNotFoundException("The tests run inside the repository: no CaptionService.sln above " + AppContext.BaseDirectory);
    }
}
