using System.Globalization;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using Serilog;

namespace CaptionService.Api.Captions;

/// <summary>Photos and options in, ranked captions out: what <c>POST /captions</c> and every other protocol come down to.</summary>
internal sealed class CaptionCall(CaptionQueue queue, CaptionCache cache, RateLimits limits, ModelRegistry models, IOptions<CaptioningOptions> settings, IDiagnosticContext log)
{
    /// <summary>Captions photos, and says in the answer's headers and in the log how long it took.</summary>
    /// <param name="http">The request that is answered.</param>
    /// <param name="uploads">The photos; those that were rejected have their problem in the answer.</param>
    /// <param name="options">What was asked for.</param>
    /// <param name="asked">The models that are active now answer, whatever is activated while the photos wait.</param>
    /// <param name="aborted">The caller left.</param>
    /// <exception cref="Exception">The only photo was rejected, or the captions could not be made; <see cref="ProblemTable"/> knows it.</exception>
    public async Task<CaptionsResponse> Caption(HttpContext http, IReadOnlyList<UploadedPhoto> uploads, RequestedOptions options, RegisteredModel[] asked, CancellationToken aborted)
    {
        options.Check(asked);
        log.Set("Photos", uploads.Count);
        limits.TakePhotos(http, uploads.Count);
        ModelHold[] holds = await models.Hold(asked, aborted);
        try
        {
            if (uploads is [{ Rejection: { } rejection }])
                throw rejection;
            Photo[] photos = [.. uploads.Select(uploaded => uploaded.Photo).OfType<Photo>()];
            IReadOnlyList<CaptionAnswer> answers = await Caption(http, photos, options.Search, [.. holds.Select(hold => hold.Model)], aborted);

            var timings = CaptionTimings.Of(answers);
            log.Set("QueueMs", timings.QueueMs);
            log.Set("EncodeMs", timings.EncodeMs);
            log.Set("DecodeMs", timings.DecodeMs);
            ModelReference[] made = [.. asked.Select(ModelReference.Of)];
            http.Response.Headers["Server-Timing"] = string.Create(CultureInfo.InvariantCulture,
                $"queue;dur={timings.QueueMs}, encode;dur={timings.EncodeMs}, decode;dur={timings.DecodeMs}");
            http.Response.Headers.ContentLanguage = string.Join(", ", made.Select(model => model.Language));
            http.Response.Headers.Vary = HeaderNames.AcceptLanguage;

            var answered = new Queue<CaptionAnswer>(answers);
            PhotoResult[] results = [.. uploads.Select(uploaded => uploaded.Photo is { } photo
                ? PhotoResult.Captioned(uploaded.Name, photo, answered.Dequeue(), made, options, settings.Value.AltMinConfidence)
                : PhotoResult.Rejected(uploaded.Name, uploaded.Rejection!))];
            return new CaptionsResponse(made, results, timings);
        }
        finally
        {
            Array.ForEach(holds, hold => hold.Dispose());
        }
    }

    /// <summary>Captions the photos that are not remembered.</summary>
    private async Task<IReadOnlyList<CaptionAnswer>> Caption(HttpContext http, Photo[] photos, CaptionOptions search, LoadedModel[] with, CancellationToken aborted)
    {
        if (photos.Length == 0)
            return [];
        if (!cache.Enabled)
            return await queue.Caption(photos, search, with, aborted, http.Caller());
        string[] keys = Array.ConvertAll(photos, CaptionCache.KeyOf);
        CaptionAnswer?[] known = Array.ConvertAll(keys, key => cache.Find(key, search, with));
        Photo[] unknown = [.. photos.Where((_, i) => known[i] is null)];
        var answered = new Queue<CaptionAnswer>(unknown.Length == 0 ? [] : await queue.Caption(unknown, search, with, aborted, http.Caller()));
        http.Response.Headers[CaptionCache.Header] = unknown.Length == 0 ? CaptionCache.Hit : unknown.Length == photos.Length ? CaptionCache.Miss : CaptionCache.Part;
        for (int i = 0; i < photos.Length; i++)
        {
            if (known[i] is null)
                cache.Add(keys[i], search, with, known[i] = answered.Dequeue());
        }
        return known!;
    }
}
