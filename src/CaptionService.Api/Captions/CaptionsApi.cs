using System.Text.Json.Serialization;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.Captions;

/// <summary>Photos in, ranked captions out.</summary>
public static class CaptionsApi
{
    /// <summary>Registers the queue, the worker that owns the model, and what reads requests.</summary>
    public static IServiceCollection AddCaptions(this IServiceCollection services)
    {
        services.AddOptions<CaptioningOptions>().BindConfiguration(CaptioningOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        // A shutdown waits for the slowest request that may still be answered.
        services.AddOptions<HostOptions>().Configure((HostOptions host, IOptions<CaptioningOptions> captioning) =>
            host.ShutdownTimeout = captioning.Value.Deadline + TimeSpan.FromSeconds(5));
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => new CaptionQueue(provider.GetRequiredService<IOptions<CaptioningOptions>>().Value, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new SharedEncoders(provider.GetRequiredService<IOptions<CaptioningOptions>>().Value.EncoderPrecision));
        services.AddHealthChecks().AddCheck<QueueCheck>("queue");
        services.AddSingleton<CaptionMetrics>();
        services.AddSingleton<CaptionCache>();
        services.AddSingleton<PhotoDecoder>();
        services.AddHostedService(provider => provider.GetRequiredService<PhotoDecoder>());
        services.AddSingleton<CaptionRequestReader>();
        services.AddSingleton<CaptionCall>();
        services.Configure<SwaggerGenOptions>(swagger => swagger.MapType<JsonPhoto>(() => new OpenApiSchema { Type = JsonSchemaType.String, Format = "byte" }));
        services.TryAddSingleton<CaptionBatchWrapper>(caption => caption);
        return services.AddHostedService<CaptionWorker>();
    }

    /// <summary>Maps <c>POST /captions</c>.</summary>
    public static void MapCaptions(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/captions", Post).Needs(Scope.Caption).WithName("PostCaptions").WithTags("Captions")
            .WithSummary("Photos in, ranked captions out")
            .WithDescription("Send 1 to 16 photos (JPEG, PNG, WebP, GIF; 20 MB and 120 megapixels each) as files of a form, one as the body, or in JSON as base64 or data: URLs. "
                + "Where the operator allows it (`Fetch:Enabled`), `url` in the query, a form field or JSON names a photo by its address. "
                + "Options go into the query, form fields or JSON properties of the same names. "
                + "Several languages cost one pass of the encoder: `language=en&language=zh`; without `language` and `model`, the header `Accept-Language` chooses one. "
                + "Every caption has a `confidence`, calibrated on photos that the model was not trained on. "
                + "With `purpose=alt` the text may stand in an `alt` attribute, and is empty where the model is unsure. "
                + "`results` are in the order of the photos. With several photos, one that cannot be captioned has a `problem` in its place; a single one is the answer's own problem.")
            .Problems(400, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504).Describe(CaptionsOperation.Describe);
    }

    private static async Task<Ok<CaptionsResponse>> Post(HttpContext http, Readiness readiness, CaptionRequestReader reader, CaptionCall call, ModelRegistry models, CancellationToken aborted)
    {
        using IDisposable accepted = readiness.Accept();
        CaptionRequest request = await reader.Read(http.Request, aborted);
        RequestedOptions options = RequestedOptions.Parse(request.Options);
        return TypedResults.Ok(await call.Caption(http, request.Photos, options, RequestedModels.Of(options, http.Request.Headers.AcceptLanguage, models), aborted));
    }
}

/// <summary>Answer of <c>POST /captions</c>.</summary>
/// <param name="Models">The models that made the captions, one for each language, in the order asked.</param>
/// <param name="Results">One for each photo, in the order of the photos.</param>
/// <param name="Timings">Where the time went.</param>
public sealed record CaptionsResponse(IReadOnlyList<ModelReference> Models, IReadOnlyList<PhotoResult> Results, CaptionTimings Timings);

/// <summary>Which model, exactly.</summary>
/// <param name="Language">Language of its captions (BCP 47).</param>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version.</param>
/// <param name="Digest">SHA-256 of its <c>model.json</c>, which names every file's own.</param>
/// <param name="WhyNoConfidence">Why the <c>confidence</c> of its captions is null; absent where it is a number.</param>
public sealed record ModelReference(string Language, string Name, int Version, string Digest,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? WhyNoConfidence)
{
    internal static ModelReference Of(RegisteredModel model) => new(model.Card.Language, model.Card.Name, model.Card.Version, model.Card.Digest, model.Card.WhyNoConfidence);
}

/// <summary>One photo's captions, or its problem.</summary>
/// <param name="Name">The file's name, or the name given in JSON; null when there was none.</param>
/// <param name="Width">Width of the photo as seen upright, in pixels.</param>
/// <param name="Height">Height of the photo as seen upright, in pixels.</param>
/// <param name="Captions">Language after language, in the order of <c>models</c>; within each, best first.</param>
/// <param name="Problem">Why this photo of several has no captions; then nothing else is here but the name.</param>
public sealed record PhotoResult(
    string? Name,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Width,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Height,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<RankedCaption>? Captions,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ProblemDetails? Problem)
{
    internal static PhotoResult Captioned(string? name, Photo photo, CaptionAnswer answer, IReadOnlyList<ModelReference> models, RequestedOptions options, double altMinConfidence) =>
        new(name, photo.Width, photo.Height,
            [.. models.Zip(answer.Captions).SelectMany(made => made.Second.Select((caption, i) => RankedCaption.Of(i + 1, made.First.Language, caption, options, altMinConfidence)))], null);

    internal static PhotoResult Rejected(string? name, Exception rejection) => new(name, null, null, null, ProblemsApi.Details(rejection));
}

/// <summary>One caption.</summary>
/// <param name="Rank">1 is the best of its language.</param>
/// <param name="Language">Its language (BCP 47).</param>
/// <param name="Text">The sentence; with <c>style=raw</c> its words, joined as the language writes them. Empty where <c>reason</c> says why.</param>
/// <param name="LogProbability">Natural logarithm of the caption's probability given the photo; exp of it is in 0..1.</param>
/// <param name="Confidence">The probability, 0..1, that this caption is at least as close to the human captions of its photo, by CIDEr-D, as the median human
/// caption is to the others (leave one out). Fitted at the default search: another <c>beamWidth</c>, <c>maxLength</c> or <c>lengthNormalization</c> shifts it.
/// Low for what is unlike the photos that the model was trained on. <c>GET /models/{name}</c> says how far it can be trusted. null where the model has no
/// calibration: <c>whyNoConfidence</c> of its model says why.</param>
/// <param name="Words">The words in order; with <c>include=words</c>.</param>
/// <param name="Reason">Why there is no text: <c>unsure</c>, with <c>purpose=alt</c>, where the confidence is below <c>Captioning:AltMinConfidence</c> or not known;
/// <c>unfinished</c>, with <c>maxCharacters</c> or <c>purpose=alt</c>, where no whole sentence has room. Absent where there is one.</param>
public sealed record RankedCaption(
    int Rank,
    string Language,
    string Text,
    double LogProbability,
    double? Confidence,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<WordResult>? Words,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Reason)
{
    internal const string Unsure = "unsure", Unfinished = "unfinished";

    internal static RankedCaption Of(int rank, string language, Caption caption, RequestedOptions options, double altMinConfidence)
    {
        string? reason = !caption.Ended && options.Search.MaxCharacters is not null ? Unfinished
            : options.Alt && altMinConfidence > 0 && !(caption.Confidence >= altMinConfidence) ? Unsure : null;
        return new(rank, language, reason is null ? caption.Text : "", caption.LogProbability, caption.Confidence,
            options.Words && reason is null ? [.. caption.Words.Select(word => new WordResult(word.Text, word.Probability, word.Attention?.Chunk(14).ToArray()))] : null, reason);
    }
}

/// <summary>One word of a caption.</summary>
/// <param name="Text">The word as the model emitted it.</param>
/// <param name="Probability">Its probability given the photo and the words before it, 0..1.</param>
/// <param name="Attention">Where the model looked: 14 rows of 14 weights, top left first, with the sum 1; with <c>include=attention</c>.</param>
public sealed record WordResult(
    string Text,
    double Probability,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<float[]>? Attention);

/// <summary>Where the time went, in milliseconds; also in the header <c>Server-Timing</c>.</summary>
/// <param name="QueueMs">Longest wait of a photo before its batch began.</param>
/// <param name="EncodeMs">In the encoder, for the whole of each batch that held a photo of this request.</param>
/// <param name="DecodeMs">In the decoder and the search, likewise.</param>
public sealed record CaptionTimings(double QueueMs, double EncodeMs, double DecodeMs)
{
    internal static CaptionTimings Of(IReadOnlyList<CaptionAnswer> answers)
    {
        var batches = answers.SelectMany(answer => answer.Batches).Distinct(ReferenceEqualityComparer.Instance).Cast<CaptionedBatch>().ToList();
        return new CaptionTimings(
            Rounded(answers.Select(answer => answer.Queued.TotalMilliseconds).DefaultIfEmpty().Max()),
            Rounded(batches.Sum(batch => batch.Encode.TotalMilliseconds)),
            Rounded(batches.Sum(batch => batch.Decode.TotalMilliseconds)));
    }

    private static double Rounded(double milliseconds) => Math.Round(milliseconds, 2);
}
