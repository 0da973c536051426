using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>All versions that are not deleted, by name, then by version, as they were in one generation of the registry.</summary>
public sealed record RegistrySnapshot(long Generation, RegisteredModel[] All);

/// <summary>Another server has changed the registry since it was read: look again, then try again.</summary>
public sealed class RegistryMovedException : Exception;

/// <summary>
/// The registry's rows in the database and its folders on the disk. The row of a shipped model has no folder: the bundle is where
/// configuration says. Servers may share both: every change is one transaction that holds the row of the generation, from which it
/// is seen whether another server was faster, and which tells the others.
/// </summary>
public sealed class ModelStore(IDbContextFactory<CaptionDb> databases, DataFolder data, IOptions<StorageOptions> storage, TimeProvider time)
{
    private const string Unsettled = ".unsettled";      // an empty file beside a version's folder that may have no row yet

    private readonly ConcurrentDictionary<string, CalibrationResponse?> _calibrations = [];       // by digest: a bundle never changes
    private IReadOnlyList<ShippedModel> _shipped = [];

    /// <summary>Brings the rows of the shipped models up to date; in languages where none is active, they become so.</summary>
    internal Task<RegistrySnapshot> Open(IReadOnlyList<ShippedModel> shipped, CancellationToken cancellation)
    {
        _shipped = shipped;
        return Change(null, async db =>
        {
            List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
            Sweep(rows);
            db.RemoveRange(rows.Where(row => row.Folder.Length == 0 && !shipped.Any(model => model.Card.Name == row.Name)));     // configuration named other models before
            foreach (var (card, text, _) in shipped)
            {
                if (rows.Find(row => row.Folder.Length == 0 && row.Name == card.Name) is { } known)
                    (known.Digest, known.Language, known.Scores, known.Card) = (card.Digest, card.Language, Scores(card), text);
                else
                    db.Add(Row(card, text, NextVersion(rows, card.Name), folder: "", null, null));
            }
            await db.SaveChangesAsync(cancellation);
            List<ModelVersion> now = await db.ModelVersions.ToListAsync(cancellation);
            foreach (ModelVersion first in now.Where(row => row.Folder.Length == 0 && !now.Exists(other => other.Active && Tokenizer.SameLanguage(other.Language, row.Language))))
                (first.Active, first.ActivatedAt) = (true, time.GetUtcNow());
        }, cancellation);
    }

    /// <summary>What there is now.</summary>
    public async Task<RegistrySnapshot> Read(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        return await Read(db, cancellation);
    }

    /// <summary>The generation that there is now.</summary>
    public async Task<long> ReadGeneration(CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        return await db.RegistryGenerations.Select(row => row.Number).SingleAsync(cancellation);
    }

    /// <summary>A copy of a bundle, in a temporary folder.</summary>
    public string Copy(string folder)
    {
        string copy = Path.Combine(storage.Value.Temporary, Ids.New());
        Directory.CreateDirectory(copy);
        foreach (string file in Directory.GetFiles(folder))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        return copy;
    }

    /// <summary>Moves a checked bundle to its place as the next version of its name, and adds its row.</summary>
    /// <exception cref="RegistryMovedException">The registry is no longer as in <paramref name="since"/>.</exception>
    public async Task<RegistrySnapshot> Add(long since, string folder, ModelCard card, string? jobId, string? datasetId, CancellationToken cancellation)
    {
        string text = await File.ReadAllTextAsync(Path.Combine(folder, BundleFiles.Card), cancellation);
        string mark = "";
        RegistrySnapshot now = await Change(since, async db =>
        {
            int version = NextVersion(await db.ModelVersions.Where(row => row.Name == card.Name).ToListAsync(cancellation), card.Name);
            string below = Path.Combine(card.Name, $"{version}"), target = Path.Combine(storage.Value.Models, below);
            Remove(target);             // left by a server that ended between this folder and its row
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            await File.WriteAllBytesAsync(mark = target + Unsettled, [], CancellationToken.None);
            BundleWriter.Install(folder, target);
            db.Add(Row(card, text, version, below, jobId, datasetId));
        }, cancellation);
        File.Delete(mark);
        return now;
    }

    /// <summary>Marks a version as the active one of its language.</summary>
    /// <param name="since">The generation that the caller saw.</param>
    /// <param name="model">The version.</param>
    /// <param name="rolledBack">The version that it replaces on a way back, which is then as if it had never been active.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="RegistryMovedException">The registry is no longer as in <paramref name="since"/>.</exception>
    public Task<RegistrySnapshot> Activate(long since, RegisteredModel model, RegisteredModel? rolledBack, CancellationToken cancellation) => Change(since, async db =>
    {
        List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
        foreach (ModelVersion row in rows.Where(row => row.Active && Tokenizer.SameLanguage(row.Language, model.Card.Language)))
            row.Active = false;
        ModelVersion activated = rows.Single(row => row.Name == model.Card.Name && row.Version == model.Card.Version);
        (activated.Active, activated.ActivatedAt) = (true, rolledBack is null ? time.GetUtcNow() : activated.ActivatedAt);
        if (rolledBack is not null)
            rows.Single(row => row.Name == rolledBack.Card.Name && row.Version == rolledBack.Card.Version).ActivatedAt = null;
    }, cancellation);

    /// <summary>Marks a version as deleted: the row stays, so that its number is not given again.</summary>
    /// <exception cref="RegistryMovedException">The registry is no longer as in <paramref name="since"/>.</exception>
    public Task<RegistrySnapshot> Delete(long since, RegisteredModel model, CancellationToken cancellation) => Change(since, async db =>
    {
        ModelVersion row = await db.ModelVersions.SingleAsync(row => row.Name == model.Card.Name && row.Version == model.Card.Version, cancellation);
        (row.DeletedAt, row.ActivatedAt, row.Active) = (time.GetUtcNow(), null, false);
    }, cancellation);

    /// <summary>Deletes a folder, where it is there.</summary>
    public static void Remove(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    // What a server's death left between a folder and its row. In a change: no other server is between them now.
    private void Sweep(List<ModelVersion> rows)
    {
        foreach (string mark in Directory.GetFiles(storage.Value.Models, "*" + Unsettled, SearchOption.AllDirectories))
        {
            string folder = mark[..^Unsettled.Length];
            if (!rows.Exists(row => row.Folder.Length > 0 && Path.Combine(storage.Value.Models, row.Folder) == folder))
                Remove(folder);
            File.Delete(mark);
        }
        foreach (ModelVersion deleted in rows.Where(row => row.DeletedAt is not null && row.Folder.Length > 0))
            Remove(Path.Combine(storage.Value.Models, deleted.Folder));
    }

    private async Task<RegistrySnapshot> Change(long? since, Func<CaptionDb, Task> change, CancellationToken cancellation)
    {
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
        await using IDbContextTransaction turn = await db.Database.BeginTransactionAsync(cancellation);
        if (since is null)
        {
            await db.Database.ExecuteSqlAsync($"""INSERT INTO "RegistryGenerations" ("Storage", "Number") VALUES ({data.Id}, 0) ON CONFLICT DO NOTHING""", cancellation);
        }
        // From here to the end no other server gets past this line.
        int held = await db.RegistryGenerations.Where(row => since == null || row.Number == since)
            .ExecuteUpdateAsync(row => row.SetProperty(generation => generation.Number, generation => generation.Number + 1), cancellation);
        if (held == 0)
            throw new RegistryMovedException();
        await change(db);
        await db.SaveChangesAsync(CancellationToken.None);
        RegistrySnapshot now = await Read(db, CancellationToken.None);
        await RegistryNews.Tell(db, CancellationToken.None);
        await turn.CommitAsync(CancellationToken.None);
        return now;
    }

    private async Task<RegistrySnapshot> Read(CaptionDb db, CancellationToken cancellation)
    {
        long generation = await db.RegistryGenerations.AsNoTracking().Select(row => row.Number).SingleAsync(cancellation);     // first: what comes in between is read again
        List<ModelVersion> rows = await db.ModelVersions.AsNoTracking().Where(row => row.DeletedAt == null).ToListAsync(cancellation);
        // Where a server of another release shares the registry, it may have models that did not come with this one.
        IEnumerable<ModelVersion> known = rows.Where(row => row.Folder.Length > 0 || _shipped.Any(model => model.Card.Name == row.Name));
        return new RegistrySnapshot(generation, [.. known.OrderBy(row => row.Name, StringComparer.Ordinal).ThenBy(row => row.Version).Select(Model)]);
    }

    private RegisteredModel Model(ModelVersion row)
    {
        ModelCard card = ModelCard.Parse(Encoding.UTF8.GetBytes(row.Card)) with { Version = row.Version, Digest = row.Digest };
        bool shipped = row.Folder.Length == 0;
        string folder = shipped ? _shipped.First(model => model.Card.Name == row.Name).Folder : Path.Combine(storage.Value.Models, row.Folder);
        return new RegisteredModel(card, folder, shipped, row.JobId, row.DatasetId, row.CreatedAt, row.Active, row.ActivatedAt,
            _calibrations.GetOrAdd(row.Digest, _ => CalibrationResponse.Read(folder, card)));
    }

    private ModelVersion Row(ModelCard card, string text, int version, string folder, string? jobId, string? datasetId) => new()
    {
        Name = card.Name, Version = version, Digest = card.Digest, Language = card.Language, Scores = Scores(card), Card = text,
        JobId = jobId, DatasetId = datasetId, CreatedAt = time.GetUtcNow(), Folder = folder,
    };

    private static int NextVersion(List<ModelVersion> rows, string name) => 1 + rows.Where(row => row.Name == name).Select(row => row.Version).DefaultIfEmpty().Max();

    private static string Scores(ModelCard card) => JsonSerializer.Serialize(card.Scores);
}
