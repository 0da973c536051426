namespace CaptionService.Api.Compatible;

/// <summary>The protocols that other people's programs speak, each in a file of its own, all over one call.</summary>
public static class CompatibleApi
{
    /// <summary>Begins the tag of each protocol in the OpenAPI document.</summary>
    public const string Tag = "Compatible: ";

    /// <summary>Registers what the protocols share.</summary>
    public static void AddCompatible(this IServiceCollection services)
    {
        services.AddOptions<CompatibleOptions>().BindConfiguration(CompatibleOptions.Section);
        services.AddSingleton<ModelChoice>();
        services.AddSingleton<CompatibleCall>();
    }

    /// <summary>Maps them all.</summary>
    public static void MapCompatible(this IEndpointRouteBuilder routes)
    {
        routes.MapOpenAi();
        routes.MapOpenAiResponses();
        routes.MapOllama();
        routes.MapPhotoPrismVision();
        routes.MapAzureImageAnalysis();
        routes.MapHuggingFace();
        routes.MapMax();
        routes.MapImgAlt();
    }

    /// <summary>Lets callers use a route who may caption, writes its refusals as its protocol does, and says so in the OpenAPI document.</summary>
    /// <param name="route">The route.</param>
    /// <param name="refusal">The protocol's object for a kind of problem and its detail.</param>
    internal static RouteHandlerBuilder Refuses<T>(this RouteHandlerBuilder route, Func<ProblemKind, string, T> refusal) where T : class
    {
        foreach (int status in (int[])[400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 501, 503, 504])
            route.Produces<T>(status, "application/json");
        return route.Guard(Scope.Caption).WithMetadata(new ProblemShape(refusal)).Describe(RouteTexts.NameProblems);
    }
}
