using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Api.Trainer;
using CaptionService.Captioning.Jobs;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Models;

/// <summary>How good a model is, and whether another is better.</summary>
public static class EvaluationsApi
{
    /// <summary>Registers what works off evaluations, and the gate that asks it.</summary>
    public static IServiceCollection AddEvaluations(this IServiceCollection services)
    {
        services.AddSingleton<EvaluationRunner>();
        services.AddSingleton<ModelGate>();
        return services.AddSingleton<ITrainerWork>(provider => provider.GetRequiredService<EvaluationRunner>());
    }

    /// <summary>Maps <c>/evaluations</c>.</summary>
    public static void MapEvaluations(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder evaluations = routes.MapGroup("/evaluations").WithTags("Evaluations").Needs(Scope.Train);

        evaluations.MapPost("/", async Task<Accepted<EvaluationResponse>> (HttpRequest http, ModelRegistry models, EvaluationRunner runner, Readiness readiness, CancellationToken aborted) =>
            {
                readiness.ThrowIfNotReady();
                EvaluationRequest request = await JsonBody.Read<EvaluationRequest>(http, aborted);
                return Accepted(await runner.Add(models.Find(Needed(request.Model, "model")), null, Needed(request.Dataset, "dataset"), Split(request.Split), aborted));
            })
            .Accepts<EvaluationRequest>("application/json").WithName("PostEvaluation").WithSummary("Scores a model on a split of a data set, in the background")
            .WithDescription("BLEU-1..4, ROUGE-L, CIDEr, length, share of different captions, share of captions copied word for word from the training split, and the ten photos it does worst and best on. "
                + "A result that was computed before comes at once.")
            .Problems(400, 404, 409, 413, 415, 503);

        evaluations.MapPost("/compare", async Task<Accepted<EvaluationResponse>> (HttpRequest http, ModelRegistry models, EvaluationRunner runner, Readiness readiness, CancellationToken aborted) =>
            {
                readiness.ThrowIfNotReady();
                ComparisonRequest request = await JsonBody.Read<ComparisonRequest>(http, aborted);
                if (request.Models is not [{ } first, { } second])
                    throw new ProblemException(ProblemTable.InvalidOption, "models must be two models, the one that is judged first.");
                return Accepted(await runner.Add(models.Find(first), models.Find(second), Needed(request.Dataset, "dataset"), Split(request.Split), aborted));
            })
            .Accepts<ComparisonRequest>("application/json").WithName("CompareModels").WithSummary("Says whether the first of two models is better, beyond chance, in the background")
            .WithDescription("The difference of their CIDEr over the same photos with a 95 % interval (paired bootstrap, 10,000 seeded resamples), a sentence to act on, "
                + "and the twenty photos whose captions are farthest apart.")
            .Problems(400, 404, 409, 413, 415, 503);

        evaluations.MapGet("/", async Task<Ok<EvaluationsResponse>> (IDbContextFactory<CaptionDb> databases, string? offset, string? limit, CancellationToken aborted) =>
            {
                (int skip, int take) = Paging.List.Read(offset, limit);
                await using CaptionDb db = await databases.CreateDbContextAsync(aborted);
                List<Evaluation> page = await db.Evaluations.AsNoTracking().OrderByDescending(e => e.CreatedAt).ThenBy(e => e.Id).Skip(skip).Take(take).ToListAsync(aborted);
                return TypedResults.Ok(new EvaluationsResponse(await db.Evaluations.CountAsync(aborted), [.. page.Select(EvaluationResponse.Of)]));
            })
            .WithName("GetEvaluations").WithSummary("Evaluations and comparisons, the newest first")
            .Problems(400, 503).Describe(Paging.List.Describe);

        evaluations.MapGet("/{id}", async Task<Ok<EvaluationResponse>> (string id, IDbContextFactory<CaptionDb> databases, CancellationToken aborted) =>
            {
                await using CaptionDb db = await databases.CreateDbContextAsync(aborted);
                return TypedResults.Ok(EvaluationResponse.Of(await db.Evaluations.AsNoTracking().SingleOrDefaultAsync(e => e.Id == id, aborted)
                    ?? throw new ProblemException(ProblemTable.EvaluationNotFound, "There is no such evaluation.")));
            })
            .WithName("GetEvaluation").WithSummary("One evaluation or comparison, with its result once it has succeeded")
            .Problems(404, 503);
    }

    private static Accepted<EvaluationResponse> Accepted(Evaluation evaluation) => TypedResults.Accepted($"/evaluations/{evaluation.Id}", EvaluationResponse.Of(evaluation));

    private static string Needed(string? value, string name) => !string.IsNullOrEmpty(value) ? value : throw new ProblemException(ProblemTable.InvalidOption, $"{name} is missing.");

    private static string Split(string? split) => split is null or "dev" or "train" ? split ?? "dev" : throw new ProblemException(ProblemTable.InvalidOption, "split must be dev or train.");
}

/// <summary>What to score.</summary>
/// <param name="Model">name or name@version.</param>
/// <param name="Dataset">Id of the data set.</param>
/// <param name="Split"><c>dev</c> (default) or <c>train</c>.</param>
public sealed record EvaluationRequest(string? Model, string? Dataset, string? Split = null);

/// <summary>What to compare.</summary>
/// <param name="Models">Two of name or name@version: the one that is judged, and the one it is compared with.</param>
/// <param name="Dataset">Id of the data set.</param>
/// <param name="Split"><c>dev</c> (default) or <c>train</c>.</param>
public sealed record ComparisonRequest(IReadOnlyList<string?>? Models, string? Dataset, string? Split = null);

/// <summary>Answer of <c>GET /evaluations</c>.</summary>
/// <param name="Total">How many there are in all.</param>
/// <param name="Evaluations">This page, the newest first.</param>
public sealed record EvaluationsResponse(int Total, IReadOnlyList<EvaluationResponse> Evaluations);

/// <summary>One evaluation, or comparison.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Model">The model, name@version.</param>
/// <param name="ComparedWith">The other model of a comparison.</param>
/// <param name="Dataset">Id of the data set.</param>
/// <param name="Split">dev or train.</param>
/// <param name="State"><c>queued</c>, <c>running</c>, <c>succeeded</c> or <c>failed</c>.</param>
/// <param name="CreatedAt">When it was asked for (UTC).</param>
/// <param name="Result">The scores, once an evaluation has succeeded.</param>
/// <param name="Comparison">The difference, once a comparison has succeeded.</param>
/// <param name="Error">Why it failed.</param>
public sealed record EvaluationResponse(string Id, string Model, string? ComparedWith, string Dataset, string Split, string State, DateTimeOffset CreatedAt,
    EvaluationScores? Result, Comparison? Comparison, string? Error)
{
    internal static EvaluationResponse Of(Evaluation evaluation) => new(evaluation.Id, evaluation.Model, evaluation.CompareModel, evaluation.DatasetId, evaluation.Split, evaluation.State.Name(), evaluation.CreatedAt,
        evaluation is { Result: { } result, CompareModel: null } ? EvaluationScores.Of(JsonSerializer.Deserialize<EvaluationResult>(result, TrainingEvent.Json)!) : null,
        evaluation is { Result: { } comparison, CompareModel: not null } ? JsonSerializer.Deserialize<Comparison>(comparison, TrainingEvent.Json) : null,
        evaluation.Error);
}

/// <summary>What an evaluation found.</summary>
/// <param name="Digest">Digest of the model.</param>
/// <param name="Photos">Photos of the split.</param>
/// <param name="BeamWidth">Beam width of the search.</param>
/// <param name="LengthNormalization">Its length normalisation.</param>
/// <param name="Scores">bleu1 to bleu4, rougeL, distinct (different captions over photos) and verbatim (captions copied word for word from the training split) in 0..1; cider in 0..10; length in words; unended: captions cut at the greatest length.</param>
/// <param name="Worst">The ten photos of lowest CIDEr, the lowest first, with what people wrote.</param>
/// <param name="Best">The ten of highest, the highest first.</param>
public sealed record EvaluationScores(string Digest, int Photos, int BeamWidth, double LengthNormalization, IReadOnlyDictionary<string, double> Scores,
    IReadOnlyList<EvaluatedPhoto> Worst, IReadOnlyList<EvaluatedPhoto> Best)
{
    internal static EvaluationScores Of(EvaluationResult result) =>
        new(result.Digest, result.Photos, result.BeamWidth, result.LengthNormalization, result.Scores, result.Worst, result.Best);
}
