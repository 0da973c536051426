using System.Text.Json;
using CaptionService.Captioning.Training;

namespace CaptionService.Api.Models;

/// <summary>What the gate decided, and why.</summary>
/// <param name="Activated">Whether the model is in service now.</param>
/// <param name="Sentence">Why, or why not: for the record.</param>
public sealed record GateDecision(bool Activated, string Sentence);

/// <summary>Lets a new model into service only where it is better, beyond chance, than the one that is there.</summary>
public sealed class ModelGate(ModelRegistry models, EvaluationRunner evaluations)
{
    /// <summary>Compares a version with the active one of its language on the data set's dev split, and activates it where the whole 95 % interval is above 0.</summary>
    public async Task<GateDecision> Decide(RegisteredModel candidate, string datasetId, CancellationToken cancellation)
    {
        try
        {
            if (models.ActiveFor(candidate.Card.Language) is { } active)
            {
                if (active.Reference == candidate.Reference)
                {
                    return new GateDecision(true, "It was in service already.");
                }
                Evaluation queued = await evaluations.Add(candidate, active, datasetId, "dev", cancellation);
                Evaluation ended = await evaluations.Finished(queued.Id, cancellation);
                if (ended.Error is { } error)
                {
                    return new GateDecision(false, $"Not activated: the comparison with {active.Reference} failed. {error}");
                }
                Comparison comparison = JsonSerializer.Deserialize<Comparison>(ended.Result!, TrainingEvent.Json)!;
                if (comparison.Verdict != "better")
                {
                    return new GateDecision(false, $"Not activated: {comparison.Sentence}.");
                }
                await models.Activate(candidate.Card.Name, candidate.Card.Version, cancellation);
                return new GateDecision(true, $"Activated: {comparison.Sentence}.");
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
