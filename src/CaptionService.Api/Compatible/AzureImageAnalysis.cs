using System.Net;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace CaptionService.Api.Compatible;

/// <summary>Azure's Image Analysis 4.0: captions, and dense captions whose one box is the whole photo.</summary>
public static class AzureImageAnalysis
{
    private static readonly string[] s_features = ["caption", "denseCaptions"];

    internal static void MapAzureImageAnalysis(this IEndpointRouteBuilder routes) =>
        routes.MapPost("/computervision/imageanalysis:analyze", Post).WithTags(CompatibleApi.Tag + "Azure Image Analysis").WithName("AzureAnalyze")
            .WithSummary("The caption of the photo that is the body, or of `url` in JSON")
            .WithDescription("Other features than `caption` and `denseCaptions` are refused. `gender-neutral-caption=true` does what `genderNeutral=true` of `POST /captions` does. `api-version`, `model-version` and `smartcrops-aspect-ratios` are ignored.")
            .JsonBody<AzureRequest>().Describe(operation => operation.BytesBody("The photo's bytes.")).Refuses(AzureError.Of);

    private static async Task<Ok<AzureAnalysis>> Post(HttpContext http, CompatibleCall call, string? features, string? language,
        [FromQuery(Name = "gender-neutral-caption")] string? neutral, CancellationToken aborted)
    {
        string[] asked = (features ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (asked.Length == 0 || Array.Find(asked, feature => !s_features.Contains(feature, StringComparer.OrdinalIgnoreCase)) is not null)
            throw new ProblemException(ProblemTable.InvalidOption, $"features is '{(features ?? "").Shortened()}'; it names {string.Join(" and ", s_features)}, or one of them.");
        var wanted = new CompatibleRequest(language is { Length: > 0 } ? $"{ModelChoice.Any}-{language}" : null, Neutral: string.Equals(neutral, "true", StringComparison.OrdinalIgnoreCase));
        CaptionsResponse captions = RequestBody.MediaType(http.Request, out _) == "application/json"
            ? await call.Caption(http, [new JsonPhoto(null, null, (await CompatibleCall.Read<AzureRequest>(http.Request, aborted)).Url ?? "")], wanted, aborted)
            : await call.CaptionBody(http, wanted, aborted);
        PhotoResult photo = captions.Results[0];
        RankedCaption best = photo.Captions![0];
        var caption = new AzureCaption(best.Text, best.Confidence ?? Math.Exp(best.LogProbability));
        bool Asks(string feature) => asked.Contains(feature, StringComparer.OrdinalIgnoreCase);
        return TypedResults.Ok(new AzureAnalysis($"{captions.Models[0].Name}@{captions.Models[0].Version}", new AzureSize(photo.Width!.Value, photo.Height!.Value), Asks(s_features[0]) ? caption : null,
            Asks(s_features[1]) ? new AzureDenseCaptions([new AzureDenseCaption(caption.Text, caption.Confidence, new AzureBox(0, 0, photo.Width.Value, photo.Height.Value))]) : null));
    }
}

/// <summary>A photo by its address.</summary>
internal sealed record AzureRequest(string? Url);

/// <summary>Azure's answer.</summary>
public sealed record AzureAnalysis(string ModelVersion, AzureSize Metadata,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] AzureCaption? CaptionResult,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] AzureDenseCaptions? DenseCaptionsResult);

/// <summary>The photo's size, upright.</summary>
public sealed record AzureSize(int Width, int Height);

/// <summary>A caption with its calibrated confidence; where the model has none, its probability.</summary>
public sealed record AzureCaption(string Text, double Confidence);

/// <summary>Captions of boxes.</summary>
public sealed record AzureDenseCaptions(IReadOnlyList<AzureDenseCaption> Values);

/// <summary>The caption of a box.</summary>
public sealed record AzureDenseCaption(string Text, double Confidence, AzureBox BoundingBox);

/// <summary>A box, in pixels.</summary>
public sealed record AzureBox(int X, int Y, int W, int H);

/// <summary>Azure's object for a failure, with this service's code inside.</summary>
public sealed record AzureError(AzureFailure Error)
{
    internal static AzureError Of(ProblemKind kind, string detail) =>
        new(new AzureFailure(kind.Status is 400 or 413 or 415 or 422 ? "InvalidRequest" : $"{(HttpStatusCode)kind.Status}", detail, new AzureInnerFailure(kind.Code, kind.Title)));
}

/// <summary>What went wrong, in Azure's words.</summary>
public sealed record AzureFailure(string Code, string Message, AzureInnerFailure Innererror);

/// <summary>What went wrong, in this service's.</summary>
public sealed record AzureInnerFailure(string Code, string Message);
