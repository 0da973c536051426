using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api;

/// <summary>Reads bodies of requests, none further than its limit.</summary>
internal static partial class RequestBody
{
    /// <summary>Refuses a body that says it is too large, and has the server break off one that becomes so.</summary>
    /// <exception cref="ProblemException">It is too large.</exception>
    public static void Limit(HttpRequest request, long bytes)
    {
        if (request.ContentLength > bytes)
            throw new ProblemException(ProblemTable.BodyTooLarge, $"The body has {request.ContentLength:N0} bytes, at most {bytes:N0} are read.");
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = bytes;
    }

    /// <summary>Reads a small body whole.</summary>
    /// <exception cref="ProblemException">It is larger.</exception>
    public static async Task<byte[]> Read(HttpRequest request, int most, CancellationToken aborted) => (await ReadUpTo(request.Body, most, aborted)
        ?? throw new ProblemException(ProblemTable.BodyTooLarge, $"The body may have {most:N0} bytes.")).ToArray();

    /// <summary>Reads a field of a form.</summary>
    /// <returns>null: it is longer.</returns>
    public static async Task<string?> ReadText(Stream field, int most, CancellationToken aborted) =>
        await ReadUpTo(field, most, aborted) is { } bytes ? Encoding.UTF8.GetString(bytes.Span) : null;

    /// <summary>Reads a photo's bytes.</summary>
    /// <exception cref="ProblemException">There are more than <see cref="PhotoLimits.MaxBytes"/>.</exception>
    public static async Task<ReadOnlyMemory<byte>> ReadPhoto(Stream body, CancellationToken aborted) =>
        await ReadUpTo(body, PhotoLimits.MaxBytes, aborted) ?? throw TooManyBytes("more");

    /// <summary>A photo is larger than <see cref="PhotoLimits.MaxBytes"/>.</summary>
    /// <param name="found">What it has.</param>
    public static ProblemException TooManyBytes(string found) =>
        new(ProblemTable.TooManyBytes, $"A photo may have {PhotoLimits.MaxBytes:N0} bytes, this one has {found}.");

    /// <summary>The declared type of the body, in small letters; empty where there is none.</summary>
    public static string MediaType(HttpRequest request, out StringSegment boundary)
    {
        if (MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type))
        {
            boundary = type.Boundary;
            return type.MediaType.ToString().ToLowerInvariant();
        }
        // Some write a boundary with =, / or : and leave out the quotes that it needs then.
        Match form = UnquotedBoundary().Match(request.ContentType ?? "");
        boundary = form.Success ? form.Groups[1].Value : default;
        return form.Success ? "multipart/form-data" : "";
    }

    [GeneratedRegex(@"^\s*multipart/form-data\s*;(?:.*;)?\s*boundary=([^"";,\s]{1,70})\s*(?:;.*)?$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex UnquotedBoundary();

    /// <summary>The parts of a form.</summary>
    /// <exception cref="ProblemException">The boundary cannot be one.</exception>
    public static MultipartReader Parts(HttpRequest request, StringSegment quotedBoundary, int bufferBytes = 4096)
    {
        string? boundary = HeaderUtilities.RemoveQuotes(quotedBoundary).Value;
        return string.IsNullOrEmpty(boundary) || boundary.Length > 70     // 70: RFC 2046
            ? throw new ProblemException(ProblemTable.MalformedBody, "The multipart body's Content-Type names no boundary of 1 to 70 characters.")
            : new MultipartReader(boundary, request.Body, bufferBytes);
    }

    /// <summary>How a part of a form is named.</summary>
    /// <exception cref="ProblemException">It is not named at all.</exception>
    public static ContentDispositionHeaderValue Disposition(MultipartSection part) =>
        ContentDispositionHeaderValue.TryParse(part.ContentDisposition, out ContentDispositionHeaderValue? disposition)
            ? disposition
            : throw new ProblemException(ProblemTable.MalformedBody, "A part of the form has no Content-Disposition.");

    /// <summary>The name of a part's file; empty where it has none.</summary>
    public static string FileName(ContentDispositionHeaderValue disposition) =>
        HeaderUtilities.RemoveQuotes(disposition.FileNameStar.HasValue ? disposition.FileNameStar : disposition.FileName).ToString();

    /// <summary>Whether a failure while a form is read, or stored as it comes, means that the form breaks off, which is its sender's fault.</summary>
    public static bool BreaksOff(Exception failure, CancellationToken aborted) =>
        (failure is InvalidDataException || (failure is IOException io and not BadHttpRequestException && !TrainerExit.IsDiskFull(io))) && !aborted.IsCancellationRequested;

    /// <summary>The form breaks off.</summary>
    public static ProblemException BrokenForm() => new(ProblemTable.MalformedBody, "The multipart body breaks off, or its parts have too many headers.");

    /// <summary>Reads to the end. It grows with what arrives: who promises 20 MB and sends nothing costs nothing.</summary>
    /// <returns>null: there is more than so many bytes.</returns>
    public static async Task<ReadOnlyMemory<byte>?> ReadUpTo(Stream body, long most, CancellationToken aborted)
    {
        var bytes = new MemoryStream();
        byte[] buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            for (int read; (read = await body.ReadAsync(buffer, aborted)) > 0;)
            {
                if (bytes.Length + read > most)
                    return null;
                bytes.Write(buffer, 0, read);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return bytes.GetBuffer().AsMemory(0, (int)bytes.Length);
    }
}
