using System.Text.Json;
using CaptionService.Captioning;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Models;

/// <summary>What captions the photos.</summary>
public static class ModelsApi
{
    /// <summary>Registers <see cref="ActiveModels"/>.</summary>
    public static IServiceCollection AddModels(this IServiceCollection services) => services.AddSingleton<ActiveModels>();

    /// <summary>Maps <c>GET /models</c> and <c>GET /models/{name}</c>.</summary>
    public static void MapModels(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder models = routes.MapGroup("/models").WithTags("Models");
        models.MapGet("/", Ok<ModelsResponse> (ActiveModels active) => TypedResults.Ok(new ModelsResponse([.. active.All.Select(ModelResponse.Of)])))
            .WithName("GetModels").WithSummary("The models that are loaded, the default first");
        models.MapGet("/{name}", Ok<ModelResponse> (string name, ActiveModels active) =>
                TypedResults.Ok(ModelResponse.Of(active.Find(name) ?? throw new ProblemException(ProblemTable.ModelNotFound, $"No model is named '{name}'."))))
            .WithName("GetModel").WithSummary("One model: its version, sizes and scores")
            .ProducesProblem(404);
    }
}

/// <summary>Answer of <c>GET /models</c>.</summary>
/// <param name="Models">The models that are loaded, the default first; empty while it loads.</param>
public sealed record ModelsResponse(IReadOnlyList<ModelResponse> Models);

/// <summary>One model.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Version">1, 2, 3, … within the name.</param>
/// <param name="Digest">SHA-256 of its <c>model.json</c>, which names every file's own.</param>
/// <param name="Language">Language of the captions (BCP 47).</param>
/// <param name="Architecture">The decoder's network: <c>show-and-tell</c>, <c>show-attend-and-tell</c> or <c>top-down</c>.</param>
/// <param name="Attends">Whether it can tell where it looked (<c>include=attention</c>).</param>
/// <param name="VocabularySize">Words it knows, four special ones included.</param>
/// <param name="Scores">Scores on the development split: BLEU-1..4 and ROUGE-L in 0..1, CIDEr in 0..10.</param>
/// <param name="Training">How it was trained, as the trainer wrote it.</param>
public sealed record ModelResponse(string Name, int Version, string Digest, string Language, string Architecture, bool Attends, int VocabularySize,
    IReadOnlyDictionary<string, double> Scores, IReadOnlyDictionary<string, JsonElement> Training)
{
    internal static ModelResponse Of(ModelCard card) => new(card.Name, card.Version, card.Digest, card.Language,
        card.Decoder.Architecture, card.Decoder.Attends, card.Decoder.VocabularySize, card.Scores, card.Training);
}
