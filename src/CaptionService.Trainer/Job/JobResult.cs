using System.Text.Json;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Trainer.Job;

/// <summary><c>result.json</c>: how a job ended. The first to write it wins.</summary>
/// <param name="Attempt">The attempt that ended it.</param>
/// <param name="Status">succeeded or failed.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Digest">Digest of the model.</param>
/// <param name="Scores">Its dev scores.</param>
internal sealed record JobResult(int Attempt, string Status, string? Error, string? Digest, IReadOnlyDictionary<string, double>? Scores)
{
    public static void Write(string folder, JobResult result)
    {
        string path = Path.Combine(folder, "result.json"), temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(result, TrainingEvent.Json));
            Durable.Sync(temporary);
            File.Move(temporary, path, overwrite: false);
            Durable.Sync(folder);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another wrote it first.
        }
        finally
        {
            File.Delete(temporary);             // where it was not moved
        }
    }
}
