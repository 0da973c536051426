namespace CaptionService.Api.Trainer;

/// <summary>Reads the log that a trainer writes, also while it writes.</summary>
internal static class TrainerLog
{
    private const int MaxBytes = 1 << 20;

    /// <summary>The last lines; none where there is no log.</summary>
    public static async Task<IReadOnlyList<string>> LastLines(string path, int lines, CancellationToken cancellation)
    {
        if (!File.Exists(path))
            return [];
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        file.Seek(Math.Max(0, file.Length - MaxBytes), SeekOrigin.Begin);
        using var reader = new StreamReader(file);
        string[] all = (await reader.ReadToEndAsync(cancellation)).Split('\n');
        return [.. (all[^1].Length == 0 ? all[..^1] : all).TakeLast(lines)];
    }
}
