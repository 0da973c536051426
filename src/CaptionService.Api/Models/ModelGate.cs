using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Models;

/// <summary>What the gate decided, and why.</summary>
/// <param name="Activated">Whether the model is in service now.</param>
/// <param name="Sentence">Why, or why not: for the record.</param>
public sealed record GateDecision(bool Activated, string Sentence);

/// <summary>Lets a new model into service only where it is better, beyond chance, than the one that is there.</summary>
public sealed class ModelGate(ModelRegistry models, EvaluationRunner evaluations)
{
    /// <summary>
    /// Compares a version with the active one of its language on the dev split of each data set, and activates it where it
    /// is better on one, the whole 95 % interval above 0, and worse on none.
    /// </summary>
    public async Task<GateDecision> Decide(RegisteredModel candidate, IReadOnlyList<string> datasetIds, CancellationToken cancellation)
    {
        try
        {
            if (models.ActiveFor(candidate.Card.Language) is { } active)
            {
                if (active.Reference == candidate.Reference)
                    return new GateDecision(true, "It was in service already.");
                var compared = new List<(string Dataset, Comparison With)>();
                foreach (string datasetId in datasetIds)
                {
                    Evaluation queued = await evaluations.Add(candidate, active, datasetId, "dev", cancellation);
                    Evaluation ended = await evaluations.Finished(queued.Id, cancellation);
                    if (ended.Error is { } error)
                        return new GateDecision(false, $"Not activated: the comparison with {active.Reference} failed. {error}");
                    compared.Add((datasetId, JsonSerializer.Deserialize<Comparison>(ended.Result!, TrainingEvent.Json)!));
                }
                int better = compared.Count(c => c.With.Verdict == "better"), worse = compared.Count(c => c.With.Verdict == "worse");
                string why = compared is [var (_, only)]
                    ? $"{only.Sentence}."
                    : $"better on {better} of {compared.Count} data sets, worse on {worse}. {string.Join(' ', compared.Select(c => $"{c.Dataset}: {c.With.Sentence}."))}";
                if (better == 0 || worse > 0)
                    return new GateDecision(false, $"Not activated: {why}");
                await models.Activate(candidate.Card.Name, candidate.Card.Version, cancellation);
                return new GateDecision(true, $"Activated: {why}");
            }
            await models.Activate(candidate.Card.Name, candidate.Card.Version, cancellation);
            return new GateDecision(true, $"Activated: no model in '{candidate.Card.Language}' was in service.");
        }
        catch (ProblemException problem)
        {
            return new GateDecision(false, $"Not activated: {problem.Message}");
        }
    }
}
