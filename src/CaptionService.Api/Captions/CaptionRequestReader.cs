using System.Text.Json;
using CaptionService.Api.Fetch;
using CaptionService.Captioning.Encoders;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api.Captions;

/// <summary>What one <c>POST /captions</c> brought.</summary>
/// <param name="Photos">1 to <see cref="CaptioningOptions.MaxPhotos"/>, in the order in which they came.</param>
/// <param name="Options">Options as text; the body's where the query gives the same one.</param>
internal sealed record CaptionRequest(IReadOnlyList<UploadedPhoto> Photos, IReadOnlyDictionary<string, string> Options);

/// <summary>One uploaded photo: decoded, or why not.</summary>
/// <param name="Name">What the caller named it.</param>
/// <param name="Photo">The photo; null when it was rejected.</param>
/// <param name="Rejection">Why it was rejected.</param>
internal sealed record UploadedPhoto(string? Name, Photo? Photo, Exception? Rejection);

/// <summary>
/// Reads a request whichever way it comes: a form, one photo's bytes, or JSON.
/// </summary>
/// <remarks>
/// Each photo is read, decoded and let go before the next is read, so a form of 16 holds one photo's bytes at a time;
/// nothing is written to disk.
/// </remarks>
internal sealed class CaptionRequestReader(PhotoFetcher fetcher, PhotoDecoder decoder)
{
    private const string UrlName = "url";

    /// <exception cref="ProblemException">The request as a whole is refused.</exception>
    public async Task<CaptionRequest> Read(HttpRequest request, CancellationToken aborted)
    {
        var options = new GivenOptions();
        var urls = new List<string>();
        foreach ((string name, StringValues values) in request.Query)
        {
            if (IsUrl(name))
            {
                urls.AddRange(values.OfType<string>());
                continue;
            }
            options.AddQuery(name, values);
        }

        // The declared type tells forms and JSON from the rest. What a photo is, its bytes decide.
        List<UploadedPhoto> photos = RequestBody.MediaType(request, out StringSegment boundary) switch
        {
            "multipart/form-data" => await ReadForm(request, boundary, options, urls, aborted),
            "application/json" => await ReadJson(request, options, aborted),
            "application/pdf" => throw new ProblemException(ProblemTable.UnsupportedMediaType, "A PDF is no photo."),
            _ when urls.Count > 0 && request.HttpContext.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false } => [],
            _ => [await ReadPhoto(request, aborted)],
        };
        CheckCount(photos.Count + urls.Count);
        foreach (string url in urls)
            photos.Add(await ReadUrl(null, url, aborted));
        return photos.Count > 0
            ? new CaptionRequest(photos, options.Texts)
            : throw new ProblemException(ProblemTable.NoPhoto, "The request was read to its end without a photo.");
    }

    /// <summary>The photos of a form, or the one that is the body, of a request whose query is not of options.</summary>
    /// <exception cref="ProblemException">The request as a whole is refused.</exception>
    public async Task<IReadOnlyList<UploadedPhoto>> ReadPhotos(HttpRequest request, CancellationToken aborted) =>
        RequestBody.MediaType(request, out StringSegment boundary) == "multipart/form-data"
            ? await ReadForm(request, boundary, new GivenOptions(), [], aborted)
            : [await ReadPhoto(request, aborted)];

    private async Task<UploadedPhoto> ReadPhoto(HttpRequest request, CancellationToken aborted)
    {
        if (request.ContentLength > PhotoLimits.MaxBytes)
            throw RequestBody.TooManyBytes($"{request.ContentLength:N0} bytes");
        ReadOnlyMemory<byte> bytes = await RequestBody.ReadPhoto(request.Body, aborted);
        return bytes.Span.TrimStart(" \t\r\n"u8) is [(byte)'{', ..]
            ? throw new ProblemException(ProblemTable.UnsupportedMediaType, "The body is JSON, but its Content-Type does not say so: send Content-Type: application/json.")
            : await Decode(null, bytes, aborted);
    }

    private async Task<List<UploadedPhoto>> ReadForm(HttpRequest request, StringSegment boundary, GivenOptions options, List<string> urls, CancellationToken aborted)
    {
        RequestBody.Limit(request, CaptioningOptions.MaxFormBytes);
        MultipartReader parts = RequestBody.Parts(request, boundary);
        var photos = new List<UploadedPhoto>();
        try
        {
            while (await parts.ReadNextSectionAsync(aborted) is { } part)
            {
                ContentDispositionHeaderValue disposition = RequestBody.Disposition(part);
                string field = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
                if (IsFile(part, disposition, field))
                {
                    string name = RequestBody.FileName(disposition);
                    UploadedPhoto photo = await ReadFile(name.Length > 0 ? name : field, part.Body, aborted);
                    // A browser sends the field of a file that nobody chose without a name and without a byte.
                    if (name.Length > 0 || photo.Rejection is not PhotoRejectedException { Code: "empty" })
                    {
                        CheckCount(photos.Count + 1);
                        photos.Add(photo);
                    }
                }
                else if (IsUrl(field))
                {
                    urls.Add(await RequestBody.ReadText(part.Body, FetchOptions.MaxUrlLength, aborted)
                        ?? throw new ProblemException(ProblemTable.UrlRefused, $"An address may have {FetchOptions.MaxUrlLength} characters."));
                }
                else
                {
                    await options.AddField(field, part.Body, aborted);
                }
            }
        }
        catch (Exception failure) when (RequestBody.BreaksOff(failure, aborted))
        {
            throw RequestBody.BrokenForm();
        }
        return photos;
    }

    // A field holding bytes (`curl -F photo='<file'`) is a photo by its type, one with a file name by that, and one that is called so.
    private static bool IsFile(MultipartSection part, ContentDispositionHeaderValue disposition, string field) =>
        disposition.FileName.HasValue || disposition.FileNameStar.HasValue || field.ToLowerInvariant() is "photo" or "photos" or "image" or "images" or "file" or "files"
        || part.ContentType is { } type && (type.StartsWith("image/", StringComparison.OrdinalIgnoreCase) || type.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase));

    private async Task<UploadedPhoto> ReadFile(string name, Stream body, CancellationToken aborted)
    {
        ReadOnlyMemory<byte> bytes;
        try
        {
            bytes = await RequestBody.ReadPhoto(body, aborted);
        }
        catch (ProblemException tooLarge)
        {
            return new UploadedPhoto(name, null, tooLarge);     // the reader of parts skips the rest
        }
        return await Decode(name, bytes, aborted);
    }

    private async Task<List<UploadedPhoto>> ReadJson(HttpRequest request, GivenOptions options, CancellationToken aborted)
    {
        RequestBody.Limit(request, CaptioningOptions.MaxJsonBytes);
        JsonCaptionRequest? body;
        try
        {
            body = await JsonSerializer.DeserializeAsync<JsonCaptionRequest>(request.Body, Json.Requests, aborted);
        }
        catch (JsonException malformed)
        {
            string where = malformed.LineNumber is { } line ? $", line {line + 1}, byte {malformed.BytePositionInLine + 1}" : "";
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is not the JSON that is expected, at {malformed.Path ?? "$"}{where}.");
        }
        foreach ((string name, JsonElement value) in body?.Options ?? [])
            options.AddMember(name, value);

        JsonPhoto?[] images = [.. body?.Images ?? [], .. body?.Image is { } one ? [one] : Array.Empty<JsonPhoto>()];
        CheckCount(images.Length);
        var photos = new List<UploadedPhoto>(images.Length);
        for (int i = 0; i < images.Length; i++)
        {
            photos.Add(await ReadJson(images[i], $"images[{i}].data", aborted));
            images[i] = null;
        }
        return photos;
    }

    /// <summary>A photo of a JSON body: its data, or what its address leads to.</summary>
    public async Task<UploadedPhoto> ReadJson(JsonPhoto? image, string where, CancellationToken aborted) => image switch
    {
        { Url: { } url } => await ReadUrl(image.Name, url, aborted),
        { Data.Bytes: { Length: <= (int)PhotoLimits.MaxBytes } bytes } => await Decode(image.Name, bytes, aborted),
        { Data.Bytes: { } bytes } => new UploadedPhoto(image.Name, null, RequestBody.TooManyBytes($"{bytes.Length:N0} bytes")),
        _ => new UploadedPhoto(image?.Name, null, new ProblemException(ProblemTable.BadBase64, $"{where} is missing or is not base64; an address goes into url.")),
    };

    private static bool IsUrl(string name) => name.Equals(UrlName, StringComparison.OrdinalIgnoreCase);

    private async Task<UploadedPhoto> ReadUrl(string? name, string url, CancellationToken aborted)
    {
        try
        {
            return await Decode(name, await fetcher.Fetch(url.Trim(), aborted), aborted);
        }
        catch (ProblemException notFetched)
        {
            return new UploadedPhoto(name, null, notFetched);
        }
    }

    private async Task<UploadedPhoto> Decode(string? name, ReadOnlyMemory<byte> bytes, CancellationToken aborted)
    {
        try
        {
            return new UploadedPhoto(name, await decoder.Decode(bytes, aborted), null);
        }
        catch (PhotoRejectedException rejected)
        {
            return new UploadedPhoto(name, null, rejected);
        }
    }

    /// <exception cref="ProblemException">There are more than a request may bring.</exception>
    public static void CheckCount(int photos)
    {
        if (photos > CaptioningOptions.MaxPhotos)
            throw new ProblemException(ProblemTable.TooManyPhotos, $"A request brings 1 to {CaptioningOptions.MaxPhotos} photos, this one more.");
    }
}
