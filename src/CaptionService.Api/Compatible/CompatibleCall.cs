using System.Globalization;
using System.Text.Json;
using CaptionService.Api.Captions;

namespace CaptionService.Api.Compatible;

/// <summary>What is asked for in any of the protocols.</summary>
/// <param name="Model">What the program calls the model; null where it does not say.</param>
/// <param name="Prompt">What the program told the model, which chooses nothing but the language.</param>
/// <param name="Count">How many captions of each photo; null: one.</param>
/// <param name="Neutral">Whether no word may state a person's sex.</param>
internal sealed record CompatibleRequest(string? Model = null, string? Prompt = null, int? Count = null, bool Neutral = false);

/// <summary>What the protocols share: photos are decoded, a model is chosen, and the one call is made.</summary>
internal sealed class CompatibleCall(Readiness readiness, CaptionRequestReader reader, CaptionCall call, ModelChoice choice)
{
    // Other programs' requests have members that nobody here reads, and leave out what they like.
    private static readonly JsonSerializerOptions s_lenient = new(JsonSerializerDefaults.Web);

    /// <summary>Reads a JSON body, whatever type it is declared to be. Members that are not known are ignored.</summary>
    /// <exception cref="ProblemException">It is too large, or no such JSON.</exception>
    public static async Task<T> Read<T>(HttpRequest request, CancellationToken aborted) where T : class
    {
        RequestBody.Limit(request, CaptioningOptions.MaxJsonBytes);
        try
        {
            return await JsonSerializer.DeserializeAsync<T>(request.Body, s_lenient, aborted) ?? throw new ProblemException(ProblemTable.MalformedBody, "The body is null.");
        }
        catch (JsonException malformed)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is not the JSON that is expected, at {(malformed.Path ?? "$").Quoted()}.");
        }
    }

    /// <summary>Captions photos that came in JSON: as base64, as data: URLs, or by their addresses where the operator allows that.</summary>
    /// <exception cref="ProblemException">There is none, there are too many, or one of them is refused.</exception>
    public async Task<CaptionsResponse> Caption(HttpContext http, IReadOnlyList<JsonPhoto?> images, CompatibleRequest asked, CancellationToken aborted)
    {
        using IDisposable accepted = readiness.Accept();
        CaptionRequestReader.CheckCount(images.Count);
        var photos = new List<UploadedPhoto>(images.Count);
        foreach (JsonPhoto? image in images)
            photos.Add(await reader.ReadJson(image, "An image", aborted));
        return await Caption(http, photos, asked, aborted);
    }

    /// <summary>Captions the photos of a form, or the one that is the body.</summary>
    public async Task<CaptionsResponse> CaptionBody(HttpContext http, CompatibleRequest asked, CancellationToken aborted)
    {
        using IDisposable accepted = readiness.Accept();
        return await Caption(http, await reader.ReadPhotos(http.Request, aborted), asked, aborted);
    }

    private async Task<CaptionsResponse> Caption(HttpContext http, IReadOnlyList<UploadedPhoto> photos, CompatibleRequest asked, CancellationToken aborted)
    {
        if (photos.Count == 0)
            throw new ProblemException(ProblemTable.NoPhoto, "The request was read to its end without a photo.");
        // None of these protocols has a place for the problem of one photo of several.
        if (photos.FirstOrDefault(photo => photo.Rejection is not null) is { Rejection: { } rejection })
            throw rejection;
        var options = RequestedOptions.Parse(new Dictionary<string, string>
        {
            [NumberOption.Count.Name] = (asked.Count ?? 1).ToString(CultureInfo.InvariantCulture),
            [RequestedOptions.GenderNeutralName] = asked.Neutral ? bool.TrueString : "",
        });
        return await call.Caption(http, photos, options, [choice.Of(asked.Model, asked.Prompt, http.Request.Headers.AcceptLanguage)], aborted);
    }
}
