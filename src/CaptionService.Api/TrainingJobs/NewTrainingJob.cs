using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.TrainingJobs;

/// <summary>From a request to a job that waits for its turn, made once however often the request is sent with its key.</summary>
internal static partial class NewTrainingJob
{
    private const int MaxKey = 255;
    private static readonly TimeSpan KeyAbandoned = TimeSpan.FromMinutes(1);    // a server died between a key and its job

    /// <summary>Makes it, or finds the one that the same request made before.</summary>
    public static async Task<Accepted<TrainingJobResponse>> Create(HttpContext http, CaptionDb db, TrainingModels models, TrainingSignals signals, TimeProvider time, CancellationToken aborted)
    {
        byte[] body = await RequestBody.Read(http.Request, JsonBody.MaxBytes, aborted);
        string? key = Key(http.Request);
        string digest = Convert.ToHexStringLower(SHA256.HashData(body));
        if (key is not null && await Reserve(db, key, digest, time.GetUtcNow(), aborted) is { } made)
            return Accepted(await TrainingJobsApi.Find(db, made, aborted));
        TrainingJob job;
        try
        {
            job = await Job(Allowed(TrainingJobRequest.Read(body), http), db, models, time.GetUtcNow(), aborted);
            db.TrainingJobs.Add(job);
            if (key is not null && await db.IdempotencyKeys.FirstOrDefaultAsync(k => k.Key == key, aborted) is { } reserved)
                reserved.JobId = job.Id;
            await db.SaveChangesAsync(CancellationToken.None);
        }
        catch (Exception) when (key is not null)
        {
            // Nothing was made: the corrected request may use the key.
            await db.IdempotencyKeys.Where(k => k.Key == key && k.JobId == null).ExecuteDeleteAsync(CancellationToken.None);
            throw;
        }
        signals.Raise();
        return Accepted(job);

        static Accepted<TrainingJobResponse> Accepted(TrainingJob job) => TypedResults.Accepted($"/training-jobs/{job.Id}", TrainingJobResponse.Of(job));
    }

    // Who may not activate a model does not do so by way of a job either.
    private static TrainingJobRequest Allowed(TrainingJobRequest request, HttpContext http) => request.ActivateIfBetter != true || http.User.May(Scope.Admin) ? request
        : throw new ProblemException(ProblemTable.ScopeMissing, "activateIfBetter needs a key of the scope 'admin'.");

    private static async Task<TrainingJob> Job(TrainingJobRequest request, CaptionDb db, TrainingModels models, DateTimeOffset now, CancellationToken aborted)
    {
        TrainingPreset preset = request.ChosenPreset();
        IReadOnlyList<JobDataset> chosen = request.ChosenDatasets();
        bool hasBase = request.BaseModel is not null || preset.StartsFromActive;
        TrainingOptions options = request.ChosenOptions(preset, hasBase);
        if (request.Name is { } given && !ModelName().IsMatch(given))
            throw TrainingJobRequest.Invalid("name must be 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit.");
        IReadOnlyList<Dataset> datasets = await Find(request, chosen, db, aborted);
        Dataset dataset = datasets[0];
        BaseModel? start = null;
        if (hasBase)
        {
            start = models.Find(request.BaseModel, dataset.Language)
                ?? throw new ProblemException(ProblemTable.NoBaseModel, $"The preset {preset.Name} starts from the model in service, but none writes '{dataset.Language}'.");
            if (!Tokenizer.SameLanguage(start.Language, dataset.Language))
                throw TrainingJobRequest.Invalid($"baseModel writes '{start.Language}', the data set is '{dataset.Language}': both must be of one language.");
        }
        var job = new TrainingJob
        {
            Id = Ids.New(),
            Name = request.Name ?? start?.Name ?? NameOf(dataset),
            DatasetId = dataset.Id,
            Datasets = JobDataset.Write(chosen),
            Preset = preset.Name,
            BaseModel = start?.Reference,
            Seed = options.Seed,
            Options = JsonSerializer.Serialize(options, Json.Requests),
            BudgetMinutes = request.Budget?.Minutes,
            ActivateIfBetter = request.ActivateIfBetter ?? false,
            CreatedAt = now,
        };
        if (datasets.All(d => d.Status == DatasetStatus.Ready))
            job.Queue(now);
        return job;
    }

    // In the order of the request; what is wrong is said of the member that names the data set.
    private static async Task<IReadOnlyList<Dataset>> Find(TrainingJobRequest request, IReadOnlyList<JobDataset> chosen, CaptionDb db, CancellationToken aborted)
    {
        var found = new List<Dataset>();
        for (int i = 0; i < chosen.Count; i++)
        {
            string id = chosen[i].Id, member = request.Datasets is null ? "dataset" : $"datasets[{i}].id";
            Dataset dataset = await db.Datasets.AsNoTracking().FirstOrDefaultAsync(d => d.Id == id, aborted)
                ?? throw new ProblemException(ProblemTable.DatasetNotFound, $"No data set has the id that {member} names.");
            if (dataset.Status == DatasetStatus.Refused)
                throw new ProblemException(ProblemTable.DatasetNotReady, $"The data set that {member} names was refused: {dataset.Problem}");
            found.Add(dataset);
            if (!Tokenizer.SameLanguage(found[0].Language, dataset.Language))
                throw TrainingJobRequest.Invalid($"{member} names a data set in '{dataset.Language}', datasets[0].id one in '{found[0].Language}': all must be of one language.");
            // A data set that is still looked at has no report yet: then the trainer refuses it.
            if (chosen.Count > 1 && dataset.Report is { } report && JsonSerializer.Deserialize<DatasetReport>(report, TrainingEvent.Json)!.Photos.Precomputed)
                throw TrainingJobRequest.Invalid($"{member} names a data set of features that came instead of photos: it must be trained on alone.");
        }
        return found;
    }

    /// <summary>Takes a key for a new job.</summary>
    /// <returns>The job that the key made before; null: the key is new and reserved.</returns>
    private static async Task<string?> Reserve(CaptionDb db, string key, string digest, DateTimeOffset now, CancellationToken aborted)
    {
        IdempotencyKey? known = await db.IdempotencyKeys.AsNoTracking().FirstOrDefaultAsync(k => k.Key == key, aborted);
        if (known is null)
        {
            db.IdempotencyKeys.Add(new IdempotencyKey { Key = key, BodyDigest = digest, CreatedAt = now });
            try
            {
                await db.SaveChangesAsync(CancellationToken.None);
                return null;
            }
            catch (DbUpdateException)
            {
                // Another request was faster with the same key, or the database failed: the second look tells.
                db.ChangeTracker.Clear();
                known = await db.IdempotencyKeys.AsNoTracking().FirstOrDefaultAsync(k => k.Key == key, aborted);
                if (known is null)
                    throw;
            }
        }
        if (known.BodyDigest != digest)
            throw new ProblemException(ProblemTable.IdempotencyKeyReused, "The body is not the one that this Idempotency-Key came with first.");
        if (known.JobId is { } made)
            return made;
        bool taken = now - known.CreatedAt > KeyAbandoned
            && await db.IdempotencyKeys.Where(k => k.Key == key && k.JobId == null && k.CreatedAt == known.CreatedAt).ExecuteUpdateAsync(k => k.SetProperty(x => x.CreatedAt, now), aborted) == 1;
        return taken ? null : throw new ProblemException(ProblemTable.IdempotencyKeyInUse, "The first request with this Idempotency-Key is not answered yet.");
    }

    // A structured-field string as the IETF draft has it, or the bare text that many clients send.
    private static string? Key(HttpRequest request)
    {
        string header = request.Headers["Idempotency-Key"].ToString().Trim();
        if (header.Length == 0)
            return null;
        string key = header is ['"', .. var quoted, '"'] ? quoted : header;
        return key.Length is > 0 and <= MaxKey && key.All(c => c is >= ' ' and <= '~')
            ? key
            : throw TrainingJobRequest.Invalid($"Idempotency-Key must be 1 to {MaxKey} characters of ASCII.");
    }

    private static string NameOf(Dataset dataset)
    {
        string name = new([.. dataset.Name.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')]);
        name = name.Trim('-');
        return name.Length == 0 ? "model" : name.Length <= 64 ? name : name[..64].TrimEnd('-');
    }

    [GeneratedRegex("^[a-z0-9][a-z0-9._-]{0,63}$")]
    private static partial Regex ModelName();
}
