using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Language;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api.Feedback;

/// <summary>One correction as it came, checked.</summary>
/// <param name="Digest">SHA-256 of the photo's file.</param>
/// <param name="Photo">The photo's file, where it was sent.</param>
/// <param name="Texts">What is said of it.</param>
internal sealed record FeedbackRequest(string Digest, byte[]? Photo, FeedbackTexts Texts);

/// <summary>The texts of a correction; null: not given.</summary>
/// <param name="Caption">The right caption.</param>
/// <param name="Given">The caption that was given.</param>
/// <param name="Language">Language of the right one (BCP 47).</param>
/// <param name="Who">Who says so.</param>
public sealed record FeedbackTexts(string? Caption = null, string? Given = null, string? Language = null, string? Who = null)
{
    private const int MaxCaption = 500, MaxWho = 100;

    /// <summary>These texts, trimmed and checked.</summary>
    /// <exception cref="ProblemException">One is too long, or no text on one line; or the language is no tag.</exception>
    internal FeedbackTexts Checked() => new(Line("caption", Caption, MaxCaption), Line("given", Given, MaxCaption),
        string.IsNullOrWhiteSpace(Language) ? null : LanguageTag.Read(Language.Trim()),
        Line("who", Who, MaxWho));

    private static string? Line(string member, string? text, int most)
    {
        if (string.IsNullOrWhiteSpace(text))
            return null;
        string line = Tokenizer.Compose(text.Trim());
        return line.Length <= most && !line.Any(char.IsControl) ? line : throw RequestedOptions.Invalid($"{member} is one line of 1 to {most} characters.");
    }
}

/// <summary>Reads a correction: a form with the photo as a file, or JSON.</summary>
internal static partial class FeedbackReader
{
    private const int MaxFieldBytes = 4096;
    private const long MaxBytes = PhotoLimits.MaxBytes / 3 * 4 + 64 * 1024;      // a photo in base64, and texts

    private static readonly string[] s_members = ["photo", "digest", "caption", "given", "language", "who"];

    /// <exception cref="ProblemException">The request is refused.</exception>
    /// <exception cref="PhotoRejectedException">The photo is.</exception>
    public static async Task<FeedbackRequest> Read(HttpRequest request, PhotoDecoder decoder, CancellationToken aborted)
    {
        RequestBody.Limit(request, MaxBytes);
        (byte[]? photo, string? digest, FeedbackTexts texts) = RequestBody.MediaType(request, out StringSegment boundary) switch
        {
            "multipart/form-data" => await ReadForm(request, boundary, aborted),
            "application/json" => await ReadJson(request, aborted),
            _ => throw new ProblemException(ProblemTable.UnsupportedMediaType, "Feedback comes as multipart/form-data, with the photo as a file, or as JSON."),
        };
        texts = texts.Checked();
        if (texts.Caption is null)
            throw RequestedOptions.Invalid("caption, the right one, is missing.");
        if (photo is not null)
            await decoder.Decode(photo, aborted);         // what is kept can be trained on
        digest = digest?.Trim().ToLowerInvariant();
        if (digest is { Length: > 0 } && !Digest().IsMatch(digest))
            throw RequestedOptions.Invalid("digest is the SHA-256 of the photo's file: 64 hexadecimal digits.");
        string? own = photo is null ? null : FeedbackPhotos.DigestOf(photo);
        if (own is not null && digest is { Length: > 0 } && digest != own)
            throw RequestedOptions.Invalid("digest is that of another photo than the one that was sent.");
        return (own ?? digest) is { Length: > 0 } its ? new FeedbackRequest(its, photo, texts)
            : throw new ProblemException(ProblemTable.NoPhoto, "Feedback is about a photo: send it as the file photo, or its SHA-256 as digest.");
    }

    private static async Task<(byte[]?, string?, FeedbackTexts)> ReadForm(HttpRequest request, StringSegment boundary, CancellationToken aborted)
    {
        MultipartReader parts = RequestBody.Parts(request, boundary);
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        byte[]? photo = null;
        try
        {
            while (await parts.ReadNextSectionAsync(aborted) is { } part)
            {
                ContentDispositionHeaderValue disposition = RequestBody.Disposition(part);
                string field = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
                if (!s_members.Contains(field))
                    throw RequestedOptions.Invalid(ShortText.NoSuch("field", field, s_members));
                if (field == "photo")
                {
                    byte[] bytes = (await RequestBody.ReadPhoto(part.Body, aborted)).ToArray();
                    if (photo is not null)
                        throw new ProblemException(ProblemTable.TooManyPhotos, "A correction is about one photo.");
                    photo = bytes.Length > 0 || RequestBody.FileName(disposition).Length > 0 ? bytes : null;      // a browser's field of a file that nobody chose is empty
                }
                else if (!fields.TryAdd(field, await RequestBody.ReadText(part.Body, MaxFieldBytes, aborted) ?? throw RequestedOptions.Invalid($"The field '{field}' is longer than {MaxFieldBytes} bytes.")))
                    throw RequestedOptions.Invalid($"The field '{field}' is in the form twice.");
            }
        }
        catch (Exception failure) when (RequestBody.BreaksOff(failure, aborted))
        {
            throw RequestBody.BrokenForm();
        }
        return (photo, fields.GetValueOrDefault("digest"),
            new FeedbackTexts(fields.GetValueOrDefault("caption"), fields.GetValueOrDefault("given"), fields.GetValueOrDefault("language"), fields.GetValueOrDefault("who")));
    }

    private static async Task<(byte[]?, string?, FeedbackTexts)> ReadJson(HttpRequest request, CancellationToken aborted)
    {
        try
        {
            FeedbackJson body = await JsonSerializer.DeserializeAsync<FeedbackJson>(request.Body, Json.Requests, aborted) ?? throw new ProblemException(ProblemTable.MalformedBody, "The body is null.");
            if (body.Unknown?.Keys.FirstOrDefault() is { } unknown)
                throw RequestedOptions.Invalid(ShortText.NoSuch("member", unknown, s_members));
            if (body.Photo is { Bytes: null })
                throw new ProblemException(ProblemTable.BadBase64, "photo is not base64.");
            if (body.Photo?.Bytes is { Length: > (int)PhotoLimits.MaxBytes })
                throw RequestBody.TooManyBytes("more");
            return (body.Photo?.Bytes, body.Digest, new FeedbackTexts(body.Caption, body.Given, body.Language, body.Who));
        }
        catch (JsonException malformed)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is not the JSON that is expected, at {(malformed.Path ?? "$").Quoted()}.");
        }
    }

    [GeneratedRegex("^[0-9a-f]{64}$")]
    private static partial Regex Digest();

    private sealed record FeedbackJson
    {
        public Base64Bytes? Photo { get; init; }

        public string? Digest { get; init; }

        public string? Caption { get; init; }

        public string? Given { get; init; }

        public string? Language { get; init; }

        public string? Who { get; init; }

        [JsonExtensionData]
        public Dictionary<string, JsonElement>? Unknown { get; init; }
    }
}
