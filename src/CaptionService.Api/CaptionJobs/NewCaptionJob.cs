using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using CaptionService.Api.Models;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.CaptionJobs;

/// <summary>Where the photos of a job come from.</summary>
internal static class CaptionJobSources
{
    public const string Archive = "archive", Dataset = "dataset", Folder = "folder";
}

/// <summary>The JSON way in: a data set or a folder of the server, and every other member an option.</summary>
internal sealed record CaptionJobBody(string? Dataset, string? Folder)
{
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Options { get; init; }
}

/// <summary>From a request to a job that waits for its turn. While its photos come it is <see cref="JobState.Validating"/>, and what fails
/// until then leaves nothing.</summary>
internal sealed class NewCaptionJob(CaptionJobUpload upload, ModelRegistry models, Readiness readiness, CaptionJobSignals signals,
    IOptions<StorageOptions> storage,
    IOptions<DatasetsOptions> limits, IOptions<CaptionJobsOptions> options, TimeProvider time)
{
    private static readonly string[] s_photoNames =
        [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"];

    /// <summary>Makes it of what a request brings.</summary>
    /// <exception cref="ProblemException">The request, or what it brought, is refused.</exception>
    public async Task<CaptionJob> Create(HttpRequest request, CaptionDb db, CancellationToken aborted)
    {
        readiness.ThrowIfNotReady();
        string id = Ids.New(), temporary = Path.Combine(storage.Value.Temporary, id);
        Directory.CreateDirectory(temporary);
        try
        {
            CaptionJobRequest wanted = await upload.Read(request, temporary, aborted);
            var options = RequestedOptions.Parse(wanted.Options);
            RegisteredModel[] asked = RequestedModels.Of(options, request.Headers.AcceptLanguage, models);
            options.Check(asked);
            if (wanted.Dataset is { } dataset && !(Ids.Is(dataset) && await db.Datasets.AnyAsync(d => d.Id == dataset, aborted)))
                throw new ProblemException(ProblemTable.DatasetNotFound, $"No data set has the id '{dataset.Quoted()}'.");
            JobPhoto[] photos = await Task.Run(() => List(wanted, temporary, aborted), aborted);
            if (photos.Length == 0)
                throw new ProblemException(ProblemTable.NoPhotosFound, $"Among the files of the {wanted.Source} is none.");
            JobPhotos.Write(temporary, photos);
            return await Add(new CaptionJob
            {
                Id = id, Source = wanted.Source, DatasetId = wanted.Dataset, Folder = wanted.Folder, PhotosOf = id,
                Options = JsonSerializer.Serialize(wanted.Options, Json.Answers),
                Models = string.Join(',', asked.Select(model => model.Reference)), CreatedAt = time.GetUtcNow(), Photos = photos.Length,
            }, folder => Directory.Move(temporary, folder), db);
        }
        finally
        {
            WholeFolder.Remove(temporary);
        }
    }

    /// <summary>Makes one that captions the photos of another with another model.</summary>
    /// <exception cref="ProblemException">The model is not there, or writes no language of the other job.</exception>
    public async Task<CaptionJob> Compare(CaptionJob other, string? model, CaptionDb db)
    {
        readiness.ThrowIfNotReady();
        RegisteredModel asked = models
            .Find(!string.IsNullOrEmpty(model) ? model : throw new ProblemException(ProblemTable.InvalidOption, "model is missing."));
        if (!other.AllModels.Any(made => Tokenizer.SameLanguage(models.Find(made).Card.Language, asked.Card.Language)))
            throw new ProblemException(ProblemTable.InvalidOption,
                $"{asked.Reference} writes '{asked.Card.Language}', and the job has no captions in it.");
        var given = JsonSerializer.Deserialize<Dictionary<string, string>>(other.Options)!
            .Where(option => !option.Key.Equals(RequestedOptions.LanguageName, StringComparison.OrdinalIgnoreCase))
            .ToDictionary(StringComparer.OrdinalIgnoreCase);
        given[RequestedOptions.ModelName] = asked.Reference;
        return await Add(new CaptionJob
        {
            Id = Ids.New(), Source = other.Source, DatasetId = other.DatasetId, Folder = other.Folder, PhotosOf = other.PhotosOf,
            ComparesWith = other.Id, Options = JsonSerializer.Serialize(given, Json.Answers), Models = asked.Reference,
            CreatedAt = time.GetUtcNow(), Photos = other.Photos,
        }, folder => Directory.CreateDirectory(folder), db);
    }

    // The row first: a folder without a row would be nobody's. A row whose folder never came is removed by the next start.
    private async Task<CaptionJob> Add(CaptionJob job, Action<string> place, CaptionDb db)
    {
        db.CaptionJobs.Add(job);
        await db.SaveChangesAsync(CancellationToken.None);
        string folder = Path.Combine(storage.Value.CaptionJobs, job.Id);
        try
        {
            place(folder);
            job.Queue();
            await db.SaveChangesAsync(CancellationToken.None);
        }
        catch
        {
            WholeFolder.Remove(folder);
            throw;
        }
        signals.Raise();
        return job;
    }

    private JobPhoto[] List(CaptionJobRequest wanted, string temporary, CancellationToken cancellation)
    {
        // What looks like a photo, by its bytes or by its name, has a result, if only the problem with it.
        var raw = new RawFiles { Wants = (name, kind) => kind is RawKind.Photo or RawKind.OtherPhoto || s_photoNames.Contains(Path.GetExtension(name), StringComparer.OrdinalIgnoreCase) };
        switch (wanted.Source)
        {
            case CaptionJobSources.Archive:
                if (RawFiles.KindOf(wanted.Archive!) != RawKind.Archive)
                    throw new ProblemException(ProblemTable.UnknownArchive, "The file \"archive\" is none.");
                string photos = Path.Combine(temporary, DatasetFolder.Photos);
                Directory.CreateDirectory(photos);
                new Unpacker(photos, limits.Value, raw).Unpack(wanted.Archive!, "archive", cancellation);
                File.Delete(wanted.Archive!);
                break;
            case CaptionJobSources.Dataset:
                string folder = Path.Combine(storage.Value.Datasets, wanted.Dataset!, DatasetFolder.Photos);
                return !Directory.Exists(folder) ? []
                    : [.. Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
                    .Select(path => new JobPhoto(Path.GetFileName(path), path))];
            default:
                ServerFolder.List(Folder(wanted.Folder!), raw, limits.Value, cancellation);
                break;
        }
        return [.. raw.Files.OrderBy(file => file.Name, StringComparer.Ordinal)
            .Select(file => new JobPhoto(file.Name, file.Owned ? Path.GetRelativePath(temporary, file.Path) : file.Path))];
    }

    // NAME, or NAME/and/below: of the folders that the operator names, no other path is ever looked at.
    private string Folder(string given)
    {
        int slash = given.IndexOf('/', StringComparison.Ordinal);
        return options.Value.Folders.TryGetValue(slash < 0 ? given : given[..slash], out string? root)
            ? ServerFolder.Resolve(slash < 0 || slash == given.Length - 1 ? "." : given[(slash + 1)..], [root])
            : throw ServerFolder.NotAllowed();
    }
}
