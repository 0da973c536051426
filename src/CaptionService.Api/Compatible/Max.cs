using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>IBM's MAX Image Caption Generator, as its web application calls it.</summary>
public static class Max
{
    internal static void MapMax(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder model = routes.MapGroup("/model").WithTags(CompatibleApi.Tag + "IBM MAX");
        model.MapGet("/predict", Ok<MaxStatus> () => TypedResults.Ok(new MaxStatus("ok"))).WithName("MaxProbe").WithSummary("200: its web application asks whether this connects").Refuses(MaxError.Of);
        model.MapPost("/predict", Post).WithName("MaxPredict").WithSummary("Three captions of the photo `image` of a form, with their probabilities")
            .Describe(operation => operation.FormBody("image")).Refuses(MaxError.Of);
    }

    private static async Task<Ok<MaxPredictions>> Post(HttpContext http, CompatibleCall call, CancellationToken aborted)
    {
        CaptionsResponse captions = await call.CaptionBody(http, new CompatibleRequest(Count: 3), aborted);
        return TypedResults.Ok(new MaxPredictions("ok", [.. captions.Results[0].Captions!.Select((caption, i) => new MaxPrediction($"{i}", caption.Text, Math.Exp(caption.LogProbability)))]));
    }
}

/// <summary>It is there.</summary>
public sealed record MaxStatus(string Status);

/// <summary>Captions, best first.</summary>
public sealed record MaxPredictions(string Status, IReadOnlyList<MaxPrediction> Predictions);

/// <summary>A caption and its probability given the photo.</summary>
public sealed record MaxPrediction(string Index, string Caption, double Probability);

/// <summary>MAX's object for a failure, with this service's code.</summary>
public sealed record MaxError(string Status, string Message, string Code)
{
    internal static MaxError Of(ProblemKind kind, string detail) => new("error", detail, kind.Code);
}
