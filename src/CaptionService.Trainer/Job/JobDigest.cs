using System.Security.Cryptography;
using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Trainer.Job;

/// <summary>
/// The digest of everything a checkpoint depends on: another job's checkpoint is not resumed. It must stay as it is for the jobs of
/// older versions, so names keep the spelling they had, and what came later is left out where it is not used.
/// </summary>
internal static class JobDigest
{
    /// <param name="job">The job.</param>
    /// <param name="baseModel">Digest of the model it starts from; null: none.</param>
    public static string Of(JobFile job, string? baseModel)
    {
        object data = job.Data is [{ Name: null, Weight: 1, Trust: DataSource.Human } one] ? new { one.Photos, one.Captions, one.Train, one.Dev } : job.Data;
        var all = JsonSerializer.SerializeToNode(new { job.Language, Data = data, Companions = job.OtherLanguages, job.Teachers, job.Options, Base = baseModel })!.AsObject();
        var options = all[nameof(job.Options)]!.AsObject();
        options.SetAt(options.IndexOf("anchor"), "Anchor", options["anchor"]!.DeepClone());
        options.Insert(options.IndexOf(nameof(TrainingOptions.Dropout)) + 1, "ScheduledSampling", 0);
        if (!job.Options.NewWords)
            options.Remove(nameof(TrainingOptions.NewWords));
        if (job.Options.GiveUp == 0)
            options.Remove(nameof(TrainingOptions.GiveUp));
        if (job.Adapter is not null)
            all[nameof(job.Adapter)] = job.Adapter;
        return Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(all)));
    }
}
