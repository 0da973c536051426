using CaptionService.Api.Models;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What jobs need of the models: what to start from, and where the result goes.</summary>
public sealed class TrainingModels(ModelRegistry models, ModelGate gate, TimeProvider time)
{
    /// <summary>The model that a name, or name@version, means; null: the one in service for a language.</summary>
    /// <returns>null: none is in service for the language.</returns>
    /// <exception cref="ProblemException">There is no such model, or the service is still starting.</exception>
    public RegisteredModel? Find(string? reference, string language)
    {
        if (models.All.Count == 0)
        {
            throw new ProblemException(ProblemTable.ModelLoading, $"{ProblemTable.ModelLoading.Title}.");
        }
        return reference is null ? models.ActiveFor(language) : models.Find(reference);
    }

    /// <summary>Where a model's bundle is.</summary>
    /// <exception cref="ProblemException">It was deleted.</exception>
    public async Task<string> Folder(string reference, CancellationToken cancellation)
    {
        await Opened(cancellation);
        return models.Find(reference).Folder;
    }

    /// <summary>Registers the model that a job made and, where that is asked for, puts it into service if it is better. Done again, it finds what was done.</summary>
    /// <returns>Its name and version, and why it was put into service or not.</returns>
    /// <exception cref="ProblemException">The bundle cannot be used.</exception>
    public async Task<(string Name, int Version, string? Decision)> Publish(TrainingJob job, string folder, CancellationToken cancellation)
    {
        await Opened(cancellation);
        RegisteredModel model = await models.Publish(folder, job.Id, job.DatasetId, cancellation);
        string? decision = job.ActivateIfBetter ? (await gate.Decide(model, [.. job.AllDatasets().Where(d => d.Judges).Select(d => d.Id)], cancellation)).Sentence : null;
        return (model.Card.Name, model.Card.Version, decision);
    }

    // A service that has just started does not know its models yet.
    private async Task Opened(CancellationToken cancellation)
    {
        while (models.All.Count == 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(200), time, cancellation);
        }
    }
}
