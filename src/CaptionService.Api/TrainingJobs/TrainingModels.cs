using CaptionService.Api.Models;
using CaptionService.Api.Storage;

namespace CaptionService.Api.TrainingJobs;

/// <summary>The model that a job starts from.</summary>
/// <param name="Reference">name@version.</param>
/// <param name="Name">Its name.</param>
/// <param name="Language">Language of its captions (BCP 47).</param>
internal sealed record BaseModel(string Reference, string Name, string Language);

/// <summary>What jobs need of the models: what to start from, and where the result goes.</summary>
internal sealed class TrainingModels(ModelRegistry models, ModelGate gate)
{
    /// <summary>The model that a name, or name@version, means; null: the one in service for a language.</summary>
    /// <returns>null: none is in service for the language.</returns>
    /// <exception cref="ProblemException">There is no such model, or the service is still starting.</exception>
    public BaseModel? Find(string? reference, string language)
    {
        if (!models.Opened.IsCompleted)
            throw new ProblemException(ProblemTable.ModelLoading, $"{ProblemTable.ModelLoading.Title}.");
        return (reference is null ? models.ActiveFor(language) : models.Find(reference)) is { } found
            ? new BaseModel(found.Reference, found.Card.Name, found.Card.Language)
            : null;
    }

    /// <summary>Where a model's bundle is.</summary>
    /// <exception cref="ProblemException">It was deleted.</exception>
    public async Task<string> Folder(string reference, CancellationToken cancellation)
    {
        await models.Opened.WaitAsync(cancellation);
        return models.Find(reference).Folder;
    }

    /// <summary>Registers the model that a job made and, where that is asked for, puts it into service if it is better. Done again, it finds what was done.</summary>
    /// <returns>Its name and version, and why it was put into service or not.</returns>
    /// <exception cref="ProblemException">The bundle cannot be used.</exception>
    public async Task<(string Name, int Version, string? Decision)> Publish(TrainingJob job, string folder, CancellationToken cancellation)
    {
        await models.Opened.WaitAsync(cancellation);
        RegisteredModel model = await models.Publish(folder, job.Id, job.DatasetId, cancellation);
        string? decision = job.ActivateIfBetter ? (await gate.Decide(model, [.. job.AllDatasets().Where(d => d.Judges).Select(d => d.Id)], cancellation)).Sentence : null;
        return (model.Card.Name, model.Card.Version, decision);
    }
}
