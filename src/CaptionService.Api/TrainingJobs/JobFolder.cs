using System.Text;
using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Writes what a trainer reads, each file whole or not at all.</summary>
internal static class JobFolder
{
    /// <summary>Makes a folder ready for an attempt. From here on an earlier one writes nothing more.</summary>
    public static async Task Write(string folder, JobFile job)
    {
        Directory.CreateDirectory(folder);
        await WriteWhole(Path.Combine(folder, "attempt"), Encoding.ASCII.GetBytes($"{job.Attempt}"));
        await WriteWhole(Path.Combine(folder, "job.json"), JsonSerializer.SerializeToUtf8Bytes(job, JobFile.Json));
        // The result of a failed attempt must not stand in the way of this one's.
        File.Delete(Path.Combine(folder, "result.json"));
    }

    private static async Task WriteWhole(string path, byte[] bytes)
    {
        try
        {
            await File.WriteAllBytesAsync(path + ".tmp", bytes);
            File.Move(path + ".tmp", path, overwrite: true);
        }
        catch (IOException)
        {
            File.Delete(path + ".tmp");     // the disk is full: nothing half-written stays
            throw;
        }
    }
}
