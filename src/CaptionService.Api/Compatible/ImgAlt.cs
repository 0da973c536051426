using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>What Phanpy asks for a description of a photo (img-alt-api).</summary>
public static class ImgAlt
{
    internal static void MapImgAlt(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder alt = routes.MapGroup("/img-alt").WithTags(CompatibleApi.Tag + "img-alt-api");
        alt.MapPost("", Post).WithName("ImgAltPost").WithSummary("A description of the photo `image` of a form")
            .Describe(operation => operation.FormBody("image")).Refuses(OllamaError.Of);
        alt.MapGet("", Get).WithName("ImgAlt").WithSummary("A description of the photo whose address `image` is, where the operator allows that").Refuses(OllamaError.Of);
    }

    private static async Task<Ok<ImgAltDescription>> Post(HttpContext http, CompatibleCall call, CancellationToken aborted)
    {
        CaptionsResponse captions = await call.CaptionBody(http, new CompatibleRequest(), aborted);
        return TypedResults.Ok(new ImgAltDescription(captions.Results[0].Captions![0].Text));
    }

    private static async Task<Ok<ImgAltDescription>> Get(HttpContext http, string? image, CompatibleCall call, CancellationToken aborted)
    {
        CaptionsResponse captions = await call.Caption(http, image is null ? [] : [new JsonPhoto(null, null, image)], new CompatibleRequest(), aborted);
        return TypedResults.Ok(new ImgAltDescription(captions.Results[0].Captions![0].Text));
    }
}

/// <summary>What the photo shows.</summary>
public sealed record ImgAltDescription(string Description);
