using System.Text.Json;
using CaptionService.Api.Captions;
using CaptionService.Captioning;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>One version of a model, as the registry has it.</summary>
/// <param name="Card">What it says of itself; the version is the registry's.</param>
/// <param name="Folder">Its bundle.</param>
/// <param name="Shipped">Whether it is the one that configuration names: always there, never changed.</param>
/// <param name="JobId">The job that made it.</param>
/// <param name="DatasetId">The data set it was trained on.</param>
/// <param name="CreatedAt">When it was registered.</param>
/// <param name="Active">Whether it answers for its language.</param>
/// <param name="ActivatedAt">When it last became active.</param>
public sealed record RegisteredModel(ModelCard Card, string Folder, bool Shipped, string? JobId, string? DatasetId, DateTimeOffset CreatedAt, bool Active, DateTimeOffset? ActivatedAt)
{
    /// <summary>name@version.</summary>
    public string Reference => $"{Card.Name}@{Card.Version}";
}

/// <summary>
/// Which models there are and which of them answers. Changes take turns, go to the database first and then to memory;
/// captions look only at memory, so that they need neither the database nor a turn.
/// </summary>
/// <remarks>At most one version is active for each language. Without <c>model=</c> the active one of the shipped model's language answers.</remarks>
public sealed partial class ModelRegistry(IDbContextFactory<CaptionDb> databases, ActiveModels loaded, IOptions<StorageOptions> storage,
    IOptions<CaptioningOptions> captioning, TimeProvider time, ILogger<ModelRegistry> logger) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private volatile RegisteredModel[] _all = [];       // by name, then version
    private volatile string _language = "";             // of the shipped model

    /// <summary>All versions, by name, then by version. Empty until the first model serves.</summary>
    public IReadOnlyList<RegisteredModel> All => _all;

    /// <summary>The one that answers when no model is asked for; null until the first model serves.</summary>
    public RegisteredModel? Default => ActiveFor(_language);

    /// <summary>The active one of a language, or null.</summary>
    public RegisteredModel? ActiveFor(string language) => _all.FirstOrDefault(model => model.Active && SameLanguage(model.Card.Language, language));

    /// <summary>What <c>name</c> or <c>name@version</c> means: of a name alone, the active version or else the newest.</summary>
    /// <exception cref="ProblemException">There is no such model.</exception>
    public RegisteredModel Find(string reference) => TryFind(reference) ?? throw NotFound(reference);

    /// <summary>The same, or null.</summary>
    public RegisteredModel? TryFind(string reference)
    {
        int at = reference.LastIndexOf('@');
        if (at > 0)
        {
            return int.TryParse(reference.AsSpan(at + 1), out int version) ? _all.FirstOrDefault(model => model.Card.Name == reference[..at] && model.Card.Version == version) : null;
        }
        return _all.FirstOrDefault(model => model.Card.Name == reference && model.Active) ?? _all.LastOrDefault(model => model.Card.Name == reference);
    }

    /// <summary>One version.</summary>
    /// <exception cref="ProblemException">There is no such model.</exception>
    public RegisteredModel Find(string name, int version) =>
        _all.FirstOrDefault(model => model.Card.Name == name && model.Card.Version == version) ?? throw NotFound($"{name}@{version}");

    /// <summary>Takes the model that is to answer a request, loading it where it is not in memory.</summary>
    /// <param name="reference">name, name@version, or null for the default.</param>
    /// <param name="cancellation">The caller left.</param>
    /// <exception cref="ProblemException">There is no such model, or it cannot be loaded.</exception>
    public async Task<ModelHold> Hold(string? reference, CancellationToken cancellation)
    {
        RegisteredModel model = reference is null ? Default! : Find(reference);
        try
        {
            return await loaded.Hold(model, cancellation);
        }
        catch (ModelBundleException broken)
        {
            throw Refused($"{model.Reference} cannot be loaded.", broken, model.Folder);
        }
    }

    /// <summary>Reads what there is, registers the model that configuration names, and loads the one that answers.</summary>
    /// <exception cref="ModelBundleException">No model can be loaded.</exception>
    internal async Task<ModelHold> Open(CancellationToken cancellation)
    {
        string folder = Path.GetFullPath(captioning.Value.ModelFolder);
        ModelCard shipped = ModelBundle.ReadCard(folder);
        string card = await File.ReadAllTextAsync(Path.Combine(folder, ModelBundle.CardFile), cancellation);
        await _turn.WaitAsync(cancellation);
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
            foreach (ModelVersion other in rows.Where(row => row.Folder.Length == 0 && row.Name != shipped.Name))
            {
                db.Remove(other);       // configuration named another model before
            }
            if (rows.Find(row => row.Folder.Length == 0 && row.Name == shipped.Name) is { } known)
            {
                (known.Digest, known.Language, known.Scores, known.Card) = (shipped.Digest, shipped.Language, Scores(shipped), card);
            }
            else
            {
                db.Add(Row(shipped, card, NextVersion(rows, shipped.Name), folder: "", null, null));
            }
            await db.SaveChangesAsync(cancellation);
            List<ModelVersion> now = await db.ModelVersions.ToListAsync(cancellation);
            if (!now.Exists(row => row.Active && SameLanguage(row.Language, shipped.Language)))
            {
                ModelVersion first = now.Single(row => row.Folder.Length == 0);
                (first.Active, first.ActivatedAt) = (true, time.GetUtcNow());
                await db.SaveChangesAsync(cancellation);
            }
            RegisteredModel[] all = await Read(db, cancellation);
            _language = shipped.Language;
            RegisteredModel answers = all.First(model => model.Active && SameLanguage(model.Card.Language, shipped.Language));
            ModelHold hold;
            try
            {
                hold = await loaded.Hold(answers, cancellation);
            }
            catch (ModelBundleException broken) when (!answers.Shipped)
            {
                // Rather the model that came with the product than none. What the database says stays, for who mends it.
                Log.FellBack(logger, answers.Reference, broken);
                all = [.. all.Select(model => SameLanguage(model.Card.Language, shipped.Language) ? model with { Active = model.Shipped } : model)];
                hold = await loaded.Hold(all.First(model => model.Shipped), cancellation);
            }
            Show(all, hold.Model);
            return hold;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Puts a version into service: loaded and warmed up beside the one that answers, then made the one that does.</summary>
    /// <exception cref="ProblemException">There is no such model, or it cannot be loaded: then the other stays in service.</exception>
    public async Task<RegisteredModel> Activate(string name, int version, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            return await Activate(Find(name, version), rolledBack: null, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Takes the active version of a name out of service and puts in the one that was active before it, of whatever name.</summary>
    /// <exception cref="ProblemException">The name is not active, or nothing was active before, or that cannot be loaded.</exception>
    public async Task<RegisteredModel> Rollback(string name, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            RegisteredModel now = _all.FirstOrDefault(model => model.Card.Name == name && model.Active)
                ?? throw (_all.Any(model => model.Card.Name == name) ? new ProblemException(ProblemTable.NoEarlierModel, $"No version of '{name}' is active.") : NotFound(name));
            RegisteredModel before = _all.Where(model => !model.Active && model.ActivatedAt is not null && SameLanguage(model.Card.Language, now.Card.Language)).MaxBy(model => model.ActivatedAt)
                ?? throw new ProblemException(ProblemTable.NoEarlierModel, $"No other model was active before {now.Reference}.");
            return await Activate(before, rolledBack: now, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

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
        string text = await File.ReadAllTextAsync(Path.Combine(folder, ModelBundle.CardFile), cancellation);
        await _turn.WaitAsync(cancellation);
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            int version = NextVersion(await db.ModelVersions.Where(row => row.Name == card.Name).ToListAsync(cancellation), card.Name);
            string place = Path.Combine(card.Name, $"{version}"), target = Path.Combine(storage.Value.Models, place);
            Remove(target);             // of a start that ended between this folder and its row
            ModelBundle.Install(folder, target);
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

    private async Task<RegisteredModel> Activate(RegisteredModel model, RegisteredModel? rolledBack, CancellationToken cancellation)
    {
        RegisteredModel? before = ActiveFor(model.Card.Language);
        if (model.Active)
        {
            return model;
        }
        try
        {
            // From the disk even if it is still in memory: it must be there after a restart too.
            ModelCard found = await Task.Run(() => ModelBundle.ReadCard(model.Folder), cancellation);
            if (found.Digest != model.Card.Digest)
            {
                throw new ModelBundleException($"{ModelBundle.CardFile} was changed: its SHA-256 is {found.Digest}, the registry has {model.Card.Digest}.");
            }
            using ModelHold warm = await loaded.Hold(model, cancellation);

            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
            foreach (ModelVersion row in rows.Where(row => row.Active && SameLanguage(row.Language, model.Card.Language)))
            {
                row.Active = false;
            }
            ModelVersion activated = rows.Single(row => row.Name == model.Card.Name && row.Version == model.Card.Version);
            (activated.Active, activated.ActivatedAt) = (true, rolledBack is null ? time.GetUtcNow() : activated.ActivatedAt);
            if (rolledBack is not null)
            {
                rows.Single(row => row.Name == rolledBack.Card.Name && row.Version == rolledBack.Card.Version).ActivatedAt = null;
            }
            await db.SaveChangesAsync(CancellationToken.None);
            Show(await Read(db, CancellationToken.None), warm.Model);       // from here on, requests that come take the new one
        }
        catch (ModelBundleException broken)
        {
            Log.Broken(logger, model.Reference, broken);
            throw Refused($"{model.Reference} cannot be put into service{(before is null ? "" : $"; {before.Reference} stays")}.", broken, model.Folder);
        }
        Log.Activated(logger, model.Reference, before?.Reference);
        return Find(model.Card.Name, model.Card.Version);
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

    private void Show(RegisteredModel[] all, LoadedModel? warm = null)
    {
        _all = all;
        loaded.Keep(all.Where(model => model.Active), warm);
    }

    private async Task<RegisteredModel[]> Read(CaptionDb db, CancellationToken cancellation)
    {
        List<ModelVersion> rows = await db.ModelVersions.AsNoTracking().Where(row => row.DeletedAt == null).ToListAsync(cancellation);
        return
        [
            .. rows.OrderBy(row => row.Name, StringComparer.Ordinal).ThenBy(row => row.Version).Select(row => new RegisteredModel(
                ModelBundle.ParseCard(System.Text.Encoding.UTF8.GetBytes(row.Card)) with { Version = row.Version, Digest = row.Digest },
                row.Folder.Length == 0 ? Path.GetFullPath(captioning.Value.ModelFolder) : Path.Combine(storage.Value.Models, row.Folder),
                row.Folder.Length == 0, row.JobId, row.DatasetId, row.CreatedAt, row.Active, row.ActivatedAt)),
        ];
    }

    private ModelVersion Row(ModelCard card, string text, int version, string folder, string? jobId, string? datasetId) => new()
    {
        Name = card.Name, Version = version, Digest = card.Digest, Language = card.Language, Scores = Scores(card), Card = text,
        JobId = jobId, DatasetId = datasetId, CreatedAt = time.GetUtcNow(), Folder = folder,
    };

    private static int NextVersion(List<ModelVersion> rows, string name) => 1 + rows.Where(row => row.Name == name).Select(row => row.Version).DefaultIfEmpty().Max();

    private static string Scores(ModelCard card) => JsonSerializer.Serialize(card.Scores);

    /// <summary>Whether two tags name one language; regions and scripts do not count.</summary>
    internal static bool SameLanguage(string one, string other) => string.Equals(one.Split('-')[0], other.Split('-')[0], StringComparison.OrdinalIgnoreCase);

    private static ProblemException NotFound(string reference) => new(ProblemTable.ModelNotFound, $"There is no model '{(reference.Length <= 80 ? reference : reference[..80] + "…")}'.");

    // Callers learn what is wrong with which file, not where the server keeps it.
    private static ProblemException Refused(string what, ModelBundleException why, string folder) => new(ProblemTable.ModelRefused,
        $"{what} {why.Message.Replace(folder + Path.DirectorySeparatorChar, "", StringComparison.Ordinal).Replace(folder, "the bundle", StringComparison.Ordinal)}");

    /// <inheritdoc />
    public void Dispose() => _turn.Dispose();

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "{Model} is in service; before it {Before}")]
        public static partial void Activated(ILogger logger, string model, string? before);

        [LoggerMessage(2, LogLevel.Warning, "{Model} cannot be put into service")]
        public static partial void Broken(ILogger logger, string model, Exception why);

        [LoggerMessage(3, LogLevel.Error, "{Model} was in service but cannot be loaded: the model that came with the product answers")]
        public static partial void FellBack(ILogger logger, string model, Exception why);

        [LoggerMessage(4, LogLevel.Information, "{Name} has a version {Version}, digest {Digest}")]
        public static partial void Registered(ILogger logger, string name, int version, string digest);

        [LoggerMessage(5, LogLevel.Information, "{Model} was deleted")]
        public static partial void Deleted(ILogger logger, string model);
    }
}
