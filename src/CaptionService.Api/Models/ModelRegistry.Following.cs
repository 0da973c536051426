using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;

namespace CaptionService.Api.Models;

/// <summary>Servers that share the registry: each follows what the others change.</summary>
public sealed partial class ModelRegistry
{
    private readonly List<(RegisteredModel Model, string Why)> _broken = [];        // active for all, but not to be loaded here; in turn

    /// <summary>Why a version that is active does not answer here; null: all do.</summary>
    public string? Problem { get; private set; }

    /// <summary>Takes over what other servers have changed: what they made active is loaded beside what answers, then answers.</summary>
    /// <param name="again">Whether to try again what could not be loaded.</param>
    /// <param name="cancellation">The server stops.</param>
    internal Task Follow(bool again, CancellationToken cancellation) => InTurn(async () =>
    {
        if (again && Problem is not null || await store.ReadGeneration(cancellation) != Generation)
            await CatchUp(cancellation);
        return true;
    }, cancellation);

    private async Task CatchUp(CancellationToken cancellation)
    {
        RegistrySnapshot now = await store.Read(cancellation);
        var holds = new List<ModelHold>();
        _broken.Clear();
        try
        {
            foreach (RegisteredModel model in now.All.Where(model => model.Active))
            {
                try
                {
                    holds.Add(await loaded.Hold(model, cancellation));
                }
                catch (ModelBundleException broken)
                {
                    Log.CannotFollow(logger, model.Reference, broken);
                    AddBroken(model, broken);
                }
            }
            Show(now, holds.Select(hold => hold.Model));
            Log.Followed(logger, now.Generation, string.Join(", ", Active.Select(model => model.Reference)));
        }
        finally
        {
            holds.ForEach(hold => hold.Dispose());
        }
    }

    private void AddBroken(RegisteredModel model, ModelBundleException why) =>
        _broken.Add((model, Refused($"{model.Reference} cannot be loaded.", why, model.Folder).Message));

    /// <summary>The models as they answer here: where the active version of a language is broken or not there, the one that answers now stays.</summary>
    private RegisteredModel[] Answering(RegisteredModel[] all)
    {
        RegisteredModel[] here = [.. all.Select(model => _broken.Exists(broken => broken.Model.Reference == model.Reference) ? model with { Active = false } : model)];
        foreach (RegisteredModel stays in Active.Where(now => !here.Any(model => model.Active && Tokenizer.SameLanguage(model.Card.Language, now.Card.Language))))
        {
            here = [.. here.Where(model => model.Reference != stays.Reference).Append(stays)
                .OrderBy(model => model.Card.Name, StringComparer.Ordinal).ThenBy(model => model.Card.Version)];
        }
        return here;
    }

    // Changes are made to what all servers see: who finds that another was faster looks again and makes its change to that.
    private Task<T> ChangeInTurn<T>(Func<Task<T>> change, CancellationToken cancellation) => InTurn(async () =>
    {
        for (bool moved = await store.ReadGeneration(cancellation) != Generation; ; moved = true)
        {
            if (moved)
                await CatchUp(cancellation);
            try
            {
                return await change();
            }
            catch (RegistryMovedException)
            {
            }
        }
    }, cancellation);

    private static partial class Log
    {
        [LoggerMessage(8, LogLevel.Warning, "{Model}, which another server made active, cannot be loaded")]
        public static partial void CannotFollow(ILogger logger, string model, Exception why);

        [LoggerMessage(9, LogLevel.Information, "Caught up with generation {Generation} of the models: {Active} answer")]
        public static partial void Followed(ILogger logger, long generation, string active);
    }
}
