using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;

namespace CaptionService.Api.Models;

/// <summary>
/// Which models there are and which of them answers. Changes take turns, go to rows and folders first (<see cref="ModelStore"/>)
/// and then to memory; captions look only at memory, so that they need neither the database nor a turn.
/// </summary>
/// <remarks>At most one version is active for each language. Where nothing is asked for, the active one of the first shipped model's language answers.</remarks>
public sealed partial class ModelRegistry(ModelStore store, ActiveModels loaded, ILogger<ModelRegistry> logger) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile RegisteredModel[] _all = [];       // by name, then version
    private volatile string? _defaultLanguage;
    private long _generation;

    /// <summary>The generation of the registry that <see cref="All"/> shows.</summary>
    public long Generation => Volatile.Read(ref _generation);

    /// <summary>Completes when the models are known and the first of them serves.</summary>
    public Task Opened => _opened.Task;

    /// <summary>All versions, by name, then by version. Empty until the first model serves.</summary>
    public IReadOnlyList<RegisteredModel> All => _all;

    /// <summary>The one that answers when nothing is asked for; null until the first model serves.</summary>
    public RegisteredModel? Default => _defaultLanguage is { } language ? ActiveFor(language) : null;

    /// <summary>Those that answer for their languages, the default first.</summary>
    public IReadOnlyList<RegisteredModel> Active => [.. _all.Where(model => model.Active).OrderByDescending(model => model == Default)];

    /// <summary>The active one of a language, or null.</summary>
    public RegisteredModel? ActiveFor(string language) => _all.FirstOrDefault(model => model.Active && Tokenizer.SameLanguage(model.Card.Language, language));

    /// <summary>What <c>name</c> or <c>name@version</c> means: of a name alone, the active version or else the newest.</summary>
    /// <exception cref="ProblemException">There is no such model.</exception>
    public RegisteredModel Find(string reference)
    {
        int at = reference.LastIndexOf('@');
        RegisteredModel? found = at > 0
            ? int.TryParse(reference.AsSpan(at + 1), out int version) ? TryFind(reference[..at], version) : null
            : _all.FirstOrDefault(model => model.Card.Name == reference && model.Active) ?? _all.LastOrDefault(model => model.Card.Name == reference);
        return found ?? throw NotFound(reference);
    }

    /// <summary>One version.</summary>
    /// <exception cref="ProblemException">There is no such model.</exception>
    public RegisteredModel Find(string name, int version) => TryFind(name, version) ?? throw NotFound($"{name}@{version}");

    /// <summary>How the encoder of a model runs here: <c>float32</c>, <c>bfloat16</c> or <c>int8</c>; null: the model is not in memory.</summary>
    public string? PrecisionOf(RegisteredModel model) => loaded.PrecisionOf(model);

    /// <summary>Takes the models that are to answer a request, loading what is not in memory; in their order.</summary>
    /// <exception cref="ProblemException">One cannot be loaded.</exception>
    public async Task<ModelHold[]> Hold(IReadOnlyList<RegisteredModel> models, CancellationToken cancellation)
    {
        var holds = new List<ModelHold>(models.Count);
        try
        {
            foreach (RegisteredModel model in models)
            {
                try
                {
                    holds.Add(await loaded.Hold(model, cancellation));
                }
                catch (ModelBundleException broken)
                {
                    throw Refused($"{model.Reference} cannot be loaded.", broken, model.Folder);
                }
            }
            return [.. holds];
        }
        catch
        {
            holds.ForEach(hold => hold.Dispose());
            throw;
        }
    }

    /// <summary>Reads what there is, registers the models that configuration names, and loads those that answer for their languages.</summary>
    /// <param name="folder">The bundle, or the folder of bundles, that configuration names.</param>
    /// <param name="cancellation">The server stops.</param>
    /// <returns>What was loaded, the default first.</returns>
    /// <exception cref="ModelBundleException">A language has no model that can be loaded.</exception>
    internal Task<ModelHold[]> Open(string folder, CancellationToken cancellation) => InTurn(async () =>
    {
        IReadOnlyList<ShippedModel> shipped = ShippedModel.Read(folder);
        RegistrySnapshot found = await store.Open(shipped, cancellation);
        RegisteredModel[] all = found.All;
        var holds = new List<ModelHold>();
        try
        {
            foreach (string language in shipped.Select(model => model.Card.Language))
            {
                RegisteredModel answers = all.First(model => model.Active && Tokenizer.SameLanguage(model.Card.Language, language));
                try
                {
                    holds.Add(await loaded.Hold(answers, cancellation));
                }
                catch (ModelBundleException broken) when (!answers.Shipped)
                {
                    // Rather the model that came with the product than none. What the database says stays, for who mends it.
                    Log.FellBack(logger, answers.Reference, broken);
                    AddBroken(answers, broken);
                    all = [.. all.Select(model => Tokenizer.SameLanguage(model.Card.Language, language) ? model with { Active = model.Shipped } : model)];
                    holds.Add(await loaded.Hold(all.First(model => model.Shipped && Tokenizer.SameLanguage(model.Card.Language, language)), cancellation));
                }
            }
        }
        catch
        {
            holds.ForEach(hold => hold.Dispose());
            throw;
        }
        Show(found with { All = all }, holds.Select(hold => hold.Model));
        foreach (LoadedModel model in holds.Select(hold => hold.Model))
        {
            Log.Opened(logger, model.Card.Name, model.Card.Language, model.Precision);
            if (model.WhyNotInt8 is { } why)
                Log.NotInt8(logger, model.Card.Name, why);
        }
        _defaultLanguage = shipped[0].Card.Language;
        _opened.TrySetResult();
        return holds.ToArray();
    }, cancellation);

    /// <summary>Puts a version into service: loaded and warmed up beside the one that answers, then made the one that does.</summary>
    /// <exception cref="ProblemException">There is no such model, or it cannot be loaded: then the other stays in service.</exception>
    public Task<RegisteredModel> Activate(string name, int version, CancellationToken cancellation) =>
        ChangeInTurn(() => Activate(Find(name, version), rolledBack: null, cancellation), cancellation);

    /// <summary>Takes the active version of a name out of service and puts in the one that was active before it, of whatever name.</summary>
    /// <exception cref="ProblemException">The name is not active, or nothing was active before, or that cannot be loaded.</exception>
    public Task<RegisteredModel> Rollback(string name, CancellationToken cancellation) => ChangeInTurn(() =>
    {
        RegisteredModel now = _all.FirstOrDefault(model => model.Card.Name == name && model.Active)
            ?? throw (_all.Any(model => model.Card.Name == name) ? new ProblemException(ProblemTable.NoEarlierModel, $"No version of '{name}' is active.") : NotFound(name));
        RegisteredModel before = _all.Where(model => !model.Active && model.ActivatedAt is not null && Tokenizer.SameLanguage(model.Card.Language, now.Card.Language)).MaxBy(model => model.ActivatedAt)
            ?? throw new ProblemException(ProblemTable.NoEarlierModel, $"No other model was active before {now.Reference}.");
        return Activate(before, rolledBack: now, cancellation);
    }, cancellation);

    /// <summary>Registers the model that a job made as the next version of its name. The same job again finds the version that it has.</summary>
    /// <param name="folder">The bundle in the job's folder; it stays there.</param>
    /// <param name="jobId">The job.</param>
    /// <param name="datasetId">Its data set.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ProblemException">The bundle cannot be used.</exception>
    public async Task<RegisteredModel> Publish(string folder, string jobId, string? datasetId, CancellationToken cancellation)
    {
        if (_all.FirstOrDefault(model => model.JobId == jobId) is { } published)
            return published;
        string copy = store.Copy(folder);
        try
        {
            return await Register(copy, jobId, datasetId, cancellation);
        }
        finally
        {
            ModelStore.Remove(copy);
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
        return await ChangeInTurn(async () =>
        {
            Show(await store.Add(Generation, folder, card, jobId, datasetId, cancellation));
            RegisteredModel added = _all.Last(model => model.Card.Name == card.Name);
            Log.Registered(logger, card.Name, added.Card.Version, card.Digest);
            return added;
        }, cancellation);
    }

    /// <summary>Deletes a version; its number is not given again.</summary>
    /// <exception cref="ProblemException">There is no such model, it is active, or it came with the product.</exception>
    public Task Delete(string name, int version, CancellationToken cancellation) => ChangeInTurn(async () =>
    {
        RegisteredModel model = Find(name, version);
        if (model.Active)
            throw new ProblemException(ProblemTable.ModelActive, $"{model.Reference} is in service.");
        if (model.Shipped)
            throw new ProblemException(ProblemTable.ModelReadOnly, $"{model.Reference} comes with the product.");
        Show(await store.Delete(Generation, model, cancellation));
        loaded.Forget(model);
        ModelStore.Remove(model.Folder);
        Log.Deleted(logger, model.Reference);
        return model;
    }, cancellation);

    private async Task<RegisteredModel> Activate(RegisteredModel model, RegisteredModel? rolledBack, CancellationToken cancellation)
    {
        RegisteredModel? before = ActiveFor(model.Card.Language);
        if (model.Active)
            return model;
        try
        {
            using ModelHold warm = await loaded.HoldFromDisk(model, cancellation);     // it must be there after a restart too
            RegistrySnapshot now = await store.Activate(Generation, model, rolledBack, cancellation);
            _broken.RemoveAll(broken => Tokenizer.SameLanguage(broken.Model.Card.Language, model.Card.Language));
            Show(now, warm.Model);       // from here on, requests that come take the new one
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

    private async Task<T> InTurn<T>(Func<Task<T>> change, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            return await change();
        }
        finally
        {
            _turn.Release();
        }
    }

    private void Show(RegistrySnapshot now, params IEnumerable<LoadedModel> warm)
    {
        _all = Answering(now.All);
        Problem = _broken.Count == 0 ? null : string.Join(' ', _broken.Select(broken => broken.Why));
        Volatile.Write(ref _generation, now.Generation);
        loaded.Keep(_all.Where(model => model.Active), warm);
    }

    private RegisteredModel? TryFind(string name, int version) => _all.FirstOrDefault(model => model.Card.Name == name && model.Card.Version == version);

    private static ProblemException NotFound(string reference) => new(ProblemTable.ModelNotFound, $"There is no model '{reference.Shortened(80)}'.");

    // Callers learn what is wrong with which file, not where the server keeps it.
    private static ProblemException Refused(string what, ModelBundleException why, string folder) => new(ProblemTable.ModelRefused,
        $"{what} {why.Message.Replace(folder + Path.DirectorySeparatorChar, "", StringComparison.Ordinal).Replace(folder, "the bundle", StringComparison.Ordinal)}");

    /// <inheritdoc />
    public void Dispose() => _turn.Dispose();

    private static partial class Log
    {
        [LoggerMessage(6, LogLevel.Information, "{Model} answers in {Language}; its encoder runs in {Precision}")]
        public static partial void Opened(ILogger logger, string model, string language, EncoderPrecision precision);

        [LoggerMessage(7, LogLevel.Warning, "The encoder of {Model} cannot run in int8: {Why}")]
        public static partial void NotInt8(ILogger logger, string model, string why);

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
