using CaptionService.Api.Captions;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>
/// Which models there are and which of them answers. Changes take turns, go to the database first and then to memory;
/// captions look only at memory, so that they need neither the database nor a turn.
/// </summary>
/// <remarks>At most one version is active for each language. Where nothing is asked for, the active one of the first shipped model's language answers.</remarks>
public sealed partial class ModelRegistry(IDbContextFactory<CaptionDb> databases, ActiveModels loaded, IOptions<StorageOptions> storage,
    IOptions<CaptioningOptions> captioning, TimeProvider time, ILogger<ModelRegistry> logger) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private volatile RegisteredModel[] _all = [];       // by name, then version
    private volatile IReadOnlyList<ShippedModel> _shipped = [];

    /// <summary>All versions, by name, then by version. Empty until the first model serves.</summary>
    public IReadOnlyList<RegisteredModel> All => _all;

    /// <summary>The one that answers when nothing is asked for; null until the first model serves.</summary>
    public RegisteredModel? Default => _all.Length == 0 ? null : ActiveFor(_shipped[0].Card.Language);

    /// <summary>Those that answer for their languages, the default first.</summary>
    public IReadOnlyList<RegisteredModel> Active => [.. _all.Where(model => model.Active).OrderByDescending(model => model == Default)];

    /// <summary>The active one of a language, or null.</summary>
    public RegisteredModel? ActiveFor(string language) => _all.FirstOrDefault(model => model.Active && Tokenizer.SameLanguage(model.Card.Language, language));

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

    /// <summary>Takes the models that are to answer a request, loading what is not in memory; in their order.</summary>
    /// <exception cref="ProblemException">One cannot be loaded.</exception>
    public async Task<ModelHold[]> Hold(IReadOnlyList<RegisteredModel> models, CancellationToken cancellation)
    {
        var holds = new List<ModelHold>(models.Count);
        try
        {
            foreach (RegisteredModel model in models)
            {
                holds.Add(await Hold(model, cancellation));
            }
            return [.. holds];
        }
        catch
        {
            holds.ForEach(hold => hold.Dispose());
            throw;
        }
    }

    private async Task<ModelHold> Hold(RegisteredModel model, CancellationToken cancellation)
    {
        try
        {
            return await loaded.Hold(model, cancellation);
        }
        catch (ModelBundleException broken)
        {
            throw Refused($"{model.Reference} cannot be loaded.", broken, model.Folder);
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
            RegisteredModel before = _all.Where(model => !model.Active && model.ActivatedAt is not null && Tokenizer.SameLanguage(model.Card.Language, now.Card.Language)).MaxBy(model => model.ActivatedAt)
                ?? throw new ProblemException(ProblemTable.NoEarlierModel, $"No other model was active before {now.Reference}.");
            return await Activate(before, rolledBack: now, cancellation);
        }
        finally
        {
            _turn.Release();
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
                throw new ModelBundleException($"{BundleFiles.Card} was changed: its SHA-256 is {found.Digest}, the registry has {model.Card.Digest}.");
            }
            using ModelHold warm = await loaded.Hold(model, cancellation);

            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
            foreach (ModelVersion row in rows.Where(row => row.Active && Tokenizer.SameLanguage(row.Language, model.Card.Language)))
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

    private void Show(RegisteredModel[] all, params IEnumerable<LoadedModel> warm)
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
                ModelCard.Parse(System.Text.Encoding.UTF8.GetBytes(row.Card)) with { Version = row.Version, Digest = row.Digest },
                row.Folder.Length == 0 ? _shipped.First(shipped => shipped.Card.Name == row.Name).Folder : Path.Combine(storage.Value.Models, row.Folder),
                row.Folder.Length == 0, row.JobId, row.DatasetId, row.CreatedAt, row.Active, row.ActivatedAt)),
        ];
    }

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
