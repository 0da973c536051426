using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using CaptionService.Captioning.Encoders;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>PhotoPrism's own protocol for services that look at photos.</summary>
public static class PhotoPrismVision
{
    internal static void MapPhotoPrismVision(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder vision = routes.MapGroup("/api/v1/vision").WithTags(CompatibleApi.Tag + "PhotoPrism Vision");
        vision.MapPost("/caption", Post).WithName("PhotoPrismCaption").WithSummary("The caption of a photo, with its confidence")
            .WithDescription("`images` has data: URLs; the first is captioned. `prompt` chooses no more than the language; `system`, `format`, `options` and `context` are ignored.")
            .JsonBody<VisionRequest>().Refuses(VisionResponse.Refusal);
        foreach (string other in (string[])["labels", "nsfw"])
        {
            vision.MapPost("/" + other, Ok<VisionResponse> () => throw new ProblemException(ProblemTable.NotOffered, $"The service makes no {other}."))
                .WithName("PhotoPrism" + char.ToUpperInvariant(other[0]) + other[1..]).WithSummary("Not offered: 501").Refuses(VisionResponse.Refusal);
        }
    }

    private static async Task<Ok<VisionResponse>> Post(HttpContext http, CompatibleCall call, CancellationToken aborted)
    {
        VisionRequest request = await CompatibleCall.Read<VisionRequest>(http.Request, aborted);
        string? model = request is { Model: { Length: > 0 } name, Version: { Length: > 0 } version } && version != "latest" ? $"{name}@{version}" : request.Model;
        CaptionsResponse captions = await call.Caption(http, [.. (request.Images ?? []).Take(1)], new CompatibleRequest(model, request.Prompt), aborted);
        RankedCaption best = captions.Results[0].Captions![0];
        ModelReference made = captions.Models[0];
        return TypedResults.Ok(new VisionResponse(request.Id, 200, null, new VisionModel("caption", made.Name, $"{made.Version}", Photo.Side),
            new VisionResult(new VisionCaption(best.Text, best.Confidence))));
    }
}

/// <summary>What is read of PhotoPrism's request.</summary>
internal sealed record VisionRequest(string? Id, string? Model, string? Version, string? Prompt, IReadOnlyList<JsonPhoto?>? Images);

/// <summary>PhotoPrism's answer and its refusal.</summary>
public sealed record VisionResponse(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Id, int Code,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] VisionModel? Model, VisionResult Result)
{
    internal static VisionResponse Refusal(ProblemKind kind, string detail) => new(null, kind.Status, $"{kind.Code}: {detail}", null, new VisionResult(null));
}

/// <summary>Which model.</summary>
public sealed record VisionModel(string Type, string Name, string Version, int Resolution);

/// <summary>What it made.</summary>
public sealed record VisionResult([property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] VisionCaption? Caption);

/// <summary>A caption; without a source, PhotoPrism takes that of its own setting.</summary>
public sealed record VisionCaption(string Text, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Confidence);
