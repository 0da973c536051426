using CaptionService.Api.Models;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What jobs need of the models: what to start from, and where the result goes.</summary>
public sealed class TrainingModels(ModelRegistry registry, ModelGate gate)
{
    /// <summary>The model that a name, or name@version, means; null: the one in service for a language.</summary>
    /// <returns>name@version and its language; null where there is none.</returns>
    public (string Reference, string Name, string Language)? Find(string? reference, string language)
    {
        RegisteredModel? model = reference is null ? registry.ActiveFor(language) : registry.TryFind(reference);
        return model is null ? null : (model.Reference, model.Card.Name, model.Card.Language);
    }

    /// <summary>Where a model's bundle is.</summary>
    public string Folder(string reference) => registry.TryFind(reference)?.Folder
        ?? throw new ProblemException(ProblemTable.ModelNotFound, $"The base model '{reference}' is not here any more.");

    /// <summary>Registers the model that a job made, and lets it into service where the job asked for it and it is better.</summary>
    /// <returns>Its name and version, and why it was put into service or not.</returns>
    public async Task<(string Name, int Version, string? Decision)> Publish(TrainingJob job, string folder, CancellationToken cancellation)
    {
        RegisteredModel model = await registry.Publish(folder, job.Id, job.DatasetId, cancellation);
        string? decision = job.ActivateIfBetter ? (await gate.Decide(model, job.DatasetId, cancellation)).Sentence : null;
        return (model.Card.Name, model.Card.Version, decision);
    }
}
