using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Models;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Models;

/// <summary>
/// The models in memory. A model is loaded and warmed up on a thread of its own while others answer; requests then take it
/// with one look under a lock. Models that see with the same weights share one encoder.
/// </summary>
public sealed class ActiveModels(SharedEncoders encoders, IOptions<ModelsOptions> options) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);                      // one model is loaded at a time
    private readonly Lock _gate = new();
    private readonly List<LoadedModel> _loaded = [];                    // under _gate, the one used last at the end
    private HashSet<string> _active = [];                               // under _gate: digests that stay

    /// <summary>Takes a model, loading it where it is not in memory.</summary>
    /// <exception cref="ModelBundleException">It cannot be loaded, or gives no captions.</exception>
    public async Task<ModelHold> Hold(RegisteredModel model, CancellationToken cancellation)
    {
        if (TryHold(model) is { } loaded)
            return loaded;
        await _turn.WaitAsync(cancellation);
        try
        {
            return TryHold(model) ?? Keep(await OnAThreadOfItsOwn(() => Load(model.Folder, model.Card)));
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Takes a model whose files on the disk are what the registry has, whether or not it is in memory.</summary>
    /// <exception cref="ModelBundleException">It cannot be loaded, or gives no captions.</exception>
    public async Task<ModelHold> HoldFromDisk(RegisteredModel model, CancellationToken cancellation)
    {
        if (TryHold(model) is not { } loaded)
        {
            return await Hold(model, cancellation);     // which reads and checks the files
        }
        try
        {
            ModelCard found = await Task.Run(() => ModelBundle.ReadCard(model.Folder), cancellation);
            CheckDigest(found, model.Card);
            return loaded;
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    /// <summary>Loads a bundle, lets it caption, and forgets it.</summary>
    /// <exception cref="ModelBundleException">It cannot be loaded, or gives no captions.</exception>
    public async Task<ModelCard> Try(string folder, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            return await OnAThreadOfItsOwn(() =>
            {
                LoadedModel model = Load(folder, card: null);
                model.Release();
                return model.Card;
            });
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>These stay in memory once they are there, the rest as far as <see cref="ModelsOptions.KeepLoaded"/> goes.</summary>
    /// <param name="active">The active ones.</param>
    /// <param name="warm">Those that were loaded to become active.</param>
    internal void Keep(IEnumerable<RegisteredModel> active, params IEnumerable<LoadedModel> warm)
    {
        lock (_gate)
        {
            _active = active.Select(model => Key(model.Card)).ToHashSet();
            foreach (LoadedModel model in warm)
            {
                if (!_loaded.Contains(model) && model.TryHold())
                {
                    _loaded.Add(model);     // others came between and pushed it out
                }
            }
            Trim(null);
        }
    }

    /// <summary>How the encoder of a model runs here; null: the model is not in memory.</summary>
    internal string? PrecisionOf(RegisteredModel model)
    {
        lock (_gate)
            return _loaded.Find(loaded => Key(loaded.Card) == Key(model.Card))?.Precision.Name;
    }

    /// <summary>Lets go of a model; what it was to answer, it still answers.</summary>
    internal void Forget(RegisteredModel model)
    {
        lock (_gate)
        {
            if (_loaded.Find(loaded => Key(loaded.Card) == Key(model.Card)) is { } found)
            {
                _loaded.Remove(found);
                found.Release();
            }
        }
    }

    private ModelHold? TryHold(RegisteredModel model)
    {
        lock (_gate)
        {
            if (_loaded.Find(loaded => Key(loaded.Card) == Key(model.Card)) is not { } found || !found.TryHold())
                return null;
            _loaded.Remove(found);
            _loaded.Add(found);
            return new ModelHold(found);
        }
    }

    private ModelHold Keep(LoadedModel model)
    {
        lock (_gate)
        {
            model.TryHold();
            _loaded.Add(model);
            Trim(model);
            return new ModelHold(model);
        }
    }

    private void Trim(LoadedModel? just)
    {
        LoadedModel[] others = [.. _loaded.Where(loaded => loaded != just && !_active.Contains(Key(loaded.Card)))];
        foreach (LoadedModel old in others.SkipLast(options.Value.KeepLoaded))
        {
            _loaded.Remove(old);
            old.Release();
        }
    }

    private LoadedModel Load(string folder, ModelCard? card)
    {
        CaptionModel captioner = CaptionModel.Load(folder, encoders: encoders);
        try
        {
            if (card is not null)
                CheckDigest(captioner.Card, card);
            captioner.WarmUp();
            return new LoadedModel(captioner, card ?? captioner.Card);
        }
        catch
        {
            captioner.Dispose();
            throw;
        }
    }

    private static void CheckDigest(ModelCard found, ModelCard registered)
    {
        if (found.Digest != registered.Digest)
            throw new ModelBundleException($"{BundleFiles.Card} was changed: its SHA-256 is {found.Digest}, the registry has {registered.Digest}.");
    }

    // Not a thread of the pool: libtorch gives every thread that computes a team of its own, which should end with it.
    private static Task<T> OnAThreadOfItsOwn<T>(Func<T> load) =>
        Task.Factory.StartNew(load, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static string Key(ModelCard card) => $"{card.Name}@{card.Version}/{card.Digest}";

    /// <inheritdoc />
    public void Dispose()
    {
        lock (_gate)
        {
            _loaded.ForEach(model => model.Release());
            _loaded.Clear();
        }
        _turn.Dispose();
    }
}
