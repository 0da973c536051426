using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What jobs need of the models: what to start from, and where the result goes.</summary>
public sealed class TrainingModels(ActiveModels active, IOptions<CaptioningOptions> captioning)
{
    /// <summary>The model that a name, or name@version, means; null: the one in service for a language.</summary>
    /// <returns>name@version and its language; null where there is none.</returns>
    public (string Reference, string Name, string Language)? Find(string? reference, string language)
    {
        ModelCard? card = active.All.FirstOrDefault(c => reference is null ? c.Language == language : reference == c.Name || reference == $"{c.Name}@{c.Version}");
        return card is null ? null : ($"{card.Name}@{card.Version}", card.Name, card.Language);
    }

    /// <summary>Where a model's bundle is.</summary>
    public string Folder(string reference) => active.All.Any(c => $"{c.Name}@{c.Version}" == reference)
        ? Path.GetFullPath(captioning.Value.ModelFolder)
        : throw new ProblemException(ProblemTable.ModelNotFound, $"The base model '{reference}' is not here any more.");

    /// <summary>Registers the model that a job made.</summary>
    /// <returns>Its name and version, and why it was put into service or not.</returns>
    public Task<(string Name, int Version, string? Decision)> Publish(TrainingJob job, string folder, CancellationToken cancellation)
    {
        ModelCard card = ModelBundle.ReadCard(folder);
        return Task.FromResult<(string, int, string?)>((card.Name, card.Version, null));
    }
}
