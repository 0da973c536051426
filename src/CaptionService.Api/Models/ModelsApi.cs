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
        models.MapGet("/", Ok<ModelsResponse> (ActiveModels active) => TypedResults.Ok(new ModelsResponse(active.All)))
            .WithName("GetModels").WithSummary("The models that are loaded, the default first");
        models.MapGet("/{name}", Ok<ModelCard> (string name, ActiveModels active) =>
                TypedResults.Ok(active.Find(name) ?? throw new ProblemException(ProblemTable.ModelNotFound, $"No model is named '{name}'.")))
            .WithName("GetModel").WithSummary("One model: its version, sizes and scores")
            .ProducesProblem(404);
    }
}

/// <summary>Answer of <c>GET /models</c>.</summary>
/// <param name="Models">The models that are loaded, the default first; empty while it loads.</param>
public sealed record ModelsResponse(IReadOnlyList<ModelCard> Models);
