using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>Hugging Face's task image-to-text, as its inference clients call an endpoint.</summary>
public static class HuggingFace
{
    internal static void MapHuggingFace(this IEndpointRouteBuilder routes) =>
        routes.MapPost("/models/{name}", Post).WithTags(CompatibleApi.Tag + "Hugging Face").WithName("HuggingFaceImageToText")
            .WithSummary("The caption of the photo that is the body, or of `inputs` in JSON").WithDescription("`parameters` is ignored.")
            .JsonBody<InferenceRequest>().Describe(operation => operation.BytesBody("The photo's bytes.")).Refuses(OllamaError.Of);

    private static async Task<Ok<GeneratedText>> Post(HttpContext http, string name, CompatibleCall call, CancellationToken aborted)
    {
        var asked = new CompatibleRequest(name);
        CaptionsResponse captions = RequestBody.MediaType(http.Request, out _) == "application/json"
            ? await call.Caption(http, [(await CompatibleCall.Read<InferenceRequest>(http.Request, aborted)).Inputs], asked, aborted)
            : await call.CaptionBody(http, asked, aborted);
        return TypedResults.Ok(new GeneratedText(captions.Results[0].Captions![0].Text));
    }
}

/// <summary>What is read of a request in JSON.</summary>
internal sealed record InferenceRequest(JsonPhoto? Inputs);

/// <summary>What was generated.</summary>
public sealed record GeneratedText([property: JsonPropertyName("generated_text")] string Text);
