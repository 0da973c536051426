using System.Text;
using System.Text.Json;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Writes what a trainer reads, each file whole or not at all.</summary>
internal static class JobFolder
{
    /// <summary>Makes a folder ready for an attempt. From here on an earlier one writes nothing more.</summary>
    public static void Write(string folder, JobFile job)
    {
        Directory.CreateDirectory(folder);
        Write(Path.Combine(folder, "attempt"), Encoding.ASCII.GetBytes($"{job.Attempt}"));
        Write(Path.Combine(folder, "job.json"), JsonSerializer.SerializeToUtf8Bytes(job, JobFile.Json));
        // The result of a failed attempt must not stand in the way of this one's.
        File.Delete(Path.Combine(folder, "result.json"));
    }

    private static void Write(string path, byte[] bytes) => Durable.Replace(path, bytes, path + ".tmp");
}
