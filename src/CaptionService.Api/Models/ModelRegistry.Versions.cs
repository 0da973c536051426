using System.Text.Json;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Models;

// Versions come, from jobs and uploads, and go.
public sealed partial class ModelRegistry
{
    /// <summary>Registers the model that a job made as the next version of its name. The same job again finds the version that it has.</summary>
    /// <param name="folder">The bundle in the job's folder; it stays there.</param>
    /// <param name="jobId">The job.</param>
    /// <param name="datasetId">Its data set.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ProblemException">The bundle cannot be used.</exception>
    public async Task<RegisteredModel> Publish(string folder, string jobId, string? datasetId, CancellationToken cancellation)
    {
        if (_all.FirstOrDefault(model => model.JobId == jobId) is { } published)
        {
            return published;
        }
        string copy = Path.Combine(storage.Value.Temporary, Ids.New());
        Directory.CreateDirectory(copy);
        try
        {
            foreach (string file in Directory.GetFiles(folder))
            {
                File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
            }
            return await Register(copy, jobId, datasetId, cancellation);
        }
        finally
        {
            Remove(copy);
        }
    }

    /// <summary>Checks a bundle and moves it into the registry as the next version of its name.</summary>
    /// <exception cref="ProblemException">The bundle cannot be used.</exception>
    internal async Task<RegisteredModel> Register(string folder, string? jobId, string? datasetId, CancellationToken cancellation)
    {
        ModelCard card;
        try
        {
            card = await Check(folder, ofJob: jobId is not null, cancellation);
        }
        catch (ModelBundleException broken)
        {
            throw Refused("The bundle cannot be used.", broken, folder);
        }
        string text = await File.ReadAllTextAsync(Path.Combine(folder, BundleFiles.Card), cancellation);
        await _turn.WaitAsync(cancellation);
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            int version = NextVersion(await db.ModelVersions.Where(row => row.Name == card.Name).ToListAsync(cancellation), card.Name);
            string place = Path.Combine(card.Name, $"{version}"), target = Path.Combine(storage.Value.Models, place);
            Remove(target);             // of a start that ended between this folder and its row
            BundleWriter.Install(folder, target);
            db.Add(Row(card, text, version, place, jobId, datasetId));
            await db.SaveChangesAsync(CancellationToken.None);
            Show(await Read(db, CancellationToken.None));
            Log.Registered(logger, card.Name, version, card.Digest);
            return Find(card.Name, version);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Deletes a version; its number is not given again.</summary>
    /// <exception cref="ProblemException">There is no such model, it is active, or it came with the product.</exception>
    public async Task Delete(string name, int version, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            RegisteredModel model = Find(name, version);
            if (model.Active)
            {
                throw new ProblemException(ProblemTable.ModelActive, $"{model.Reference} is in service.");
            }
            if (model.Shipped)
            {
                throw new ProblemException(ProblemTable.ModelReadOnly, $"{model.Reference} comes with the product.");
            }
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            ModelVersion row = await db.ModelVersions.SingleAsync(row => row.Name == name && row.Version == version, cancellation);
            (row.DeletedAt, row.ActivatedAt, row.Active) = (time.GetUtcNow(), null, false);
            await db.SaveChangesAsync(CancellationToken.None);
            Show(await Read(db, CancellationToken.None));
            loaded.Forget(model);
            Remove(model.Folder);
            Log.Deleted(logger, model.Reference);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Deletes a folder, where it is there.</summary>
    internal static void Remove(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // A job over precomputed features makes a model that the encoder here may have no features for. It is kept, for
    // evaluations and for who has that encoder, and cannot be activated.
    private async Task<ModelCard> Check(string folder, bool ofJob, CancellationToken cancellation)
    {
        try
        {
            return await loaded.Try(folder, cancellation);
        }
        catch (ModelBundleException) when (ofJob && ModelBundle.ReadCard(folder) is { EncoderSha256: null, Decoder.SingleVector: true })
        {
            using ModelBundle bundle = ModelBundle.Load(folder);
            return bundle.Card;
        }
    }

    private ModelVersion Row(ModelCard card, string text, int version, string folder, string? jobId, string? datasetId) => new()
    {
        Name = card.Name, Version = version, Digest = card.Digest, Language = card.Language, Scores = Scores(card), Card = text,
        JobId = jobId, DatasetId = datasetId, CreatedAt = time.GetUtcNow(), Folder = folder,
    };

    private static int NextVersion(List<ModelVersion> rows, string name) => 1 + rows.Where(row => row.Name == name).Select(row => row.Version).DefaultIfEmpty().Max();

    private static string Scores(ModelCard card) => JsonSerializer.Serialize(card.Scores);
}
