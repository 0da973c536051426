using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;

namespace CaptionService.Trainer.Job;

/// <summary>Reads a job file and checks what can be checked without its data.</summary>
internal static class JobReader
{
    /// <summary>The job, checked as far as that is possible without its data.</summary>
    /// <exception cref="JsonException">The file is no job.</exception>
    /// <exception cref="ValidationException">There is no file, or something in it is out of range.</exception>
    public static JobFile Read(string file)
    {
        if (!File.Exists(file))
            throw new ValidationException($"There is no '{file}'.");
        byte[] json = File.ReadAllBytes(file);
        var job = JsonSerializer.Deserialize<JobFile>(json, JobFile.Json) ?? throw new ValidationException($"'{file}' is null.");
        if (job.Preset is { } name)
        {
            var preset = TrainingPreset.All.FirstOrDefault(p => p.Name == name)
                ?? throw new ValidationException($"preset is '{name}'; it must be {string.Join(", ", TrainingPreset.All.Select(p => p.Name))}.");
            job = job with { Options = preset.With(JsonNode.Parse(json)!["options"]?.AsObject() ?? []) };
        }
        job.Options.Check(job.BaseModel is not null);
        if (job.Data.Count == 0)
            throw new ValidationException("data names no source: it must name photos, captions, train and dev.");
        foreach (var data in job.OtherLanguages.Select(c => c.Data).OfType<IReadOnlyList<DataSource>>().Append(job.Data))
        {
            if (!data.Any(source => source.Dev is not null && source.Trust != DataSource.ModelWritten))
                throw new ValidationException("dev is missing: a source whose captions people wrote must name the photos to choose by.");
        }
        foreach (var source in job.OtherLanguages.SelectMany(c => c.Data ?? []).Concat(job.Data))
            source.Check();
        if (job.Adapter is not null && job.Options.EncoderRank > 0)
            throw new ValidationException("adapter takes over a model's change of the encoder as it is: encoderRank must be 0.");
        if (job.Version < 1)
            throw new ValidationException($"version is {job.Version}; it must be 1 or more.");
        foreach (var (model, language) in job.OtherLanguages.Select(c => (c.Name, c.Language)).Prepend((job.Name, job.Language)))
        {
            try
            {
                ModelCard.CheckName(model);
                ModelCard.CheckLanguage(language);
            }
            catch (ModelBundleException e)
            {
                throw new ValidationException(e.Message, e);    // now, not after the training
            }
        }
        CheckOtherLanguages(job);
        if (job.Teachers is { Share: not (>= 0 and <= 1) })
            throw new ValidationException($"The teachers' share is {job.Teachers.Share}; it must be 0 to 1.");
        if (job.Teachers is { Models.Count: 0 })
            throw new ValidationException("teachers names no models; leave it out.");
        return job;
    }

    private static void CheckOtherLanguages(JobFile job)
    {
        for (int i = 0; i < job.OtherLanguages.Count; i++)
        {
            string language = job.OtherLanguages[i].Language;
            if (job.OtherLanguages[i].Data is null && (job.OtherLanguages[i].Captions is null || job.Data.Count > 1))
                throw new ValidationException($"The companion '{language}' must name its captions, or, where the job has several sources, a data of its own.");
            if (job.OtherLanguages.Take(i).Select(c => c.Language).Append(job.Language).Any(other => Tokenizer.SameLanguage(other, language)))
                throw new ValidationException($"Two of the job's languages are '{language}'; each is learnt once.");
        }
        if (job.OtherLanguages.Count > 0 && job.BaseModel is not null)
            throw new ValidationException("companions do not go with baseModel, which knows one language: leave one of the two out.");
        if (job.OtherLanguages.Count > 0 && job.Teachers is not null)
            throw new ValidationException("companions do not go with teachers, who know one language: leave one of the two out.");
        if (job.OtherLanguages.Count > 0 && job.Options.Architecture != "top-down")
            throw new ValidationException($"companions need the architecture top-down; '{job.Options.Architecture}' cannot share its weights.");
    }
}
