using System.Text.Json;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api.Datasets;

/// <summary>What one <c>POST /datasets</c> brought, on the disk.</summary>
/// <param name="Name">What the data set is to be called.</param>
/// <param name="Language">Language of its captions.</param>
/// <param name="Files">Files of the form, with what the caller named them.</param>
/// <param name="Folder">The server's folder to import from, instead.</param>
/// <param name="Feedback">Whether it is to be made of corrections, instead.</param>
internal sealed record DatasetRequest(string Name, string Language, IReadOnlyList<(string Name, string Path)> Files, string? Folder, bool Feedback = false);

/// <summary>Reads the request: a form, whose files are streamed to the disk as they come, or JSON that names a folder or the corrections.</summary>
internal sealed class DatasetUpload(IOptions<DatasetsOptions> options)
{
    private const int MaxFieldBytes = 1024, MaxFiles = 8, MaxNameLength = 100;
    private const long MaxJsonBytes = 64 * 1024;

    /// <summary>Reads it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="folder">Where its files go; the caller removes it.</param>
    /// <param name="aborted">The caller left.</param>
    /// <exception cref="ProblemException">The request is refused.</exception>
    public async Task<DatasetRequest> Read(HttpRequest request, string folder, CancellationToken aborted)
    {
        return RequestBody.MediaType(request, out StringSegment boundary) switch
        {
            "multipart/form-data" => await ReadForm(request, boundary, folder, aborted),
            "application/json" => await ReadJson(request, aborted),
            _ => throw new ProblemException(ProblemTable.UnsupportedMediaType, "A data set comes as multipart/form-data, or as JSON that names a folder of the server."),
        };
    }

    private async Task<DatasetRequest> ReadForm(HttpRequest request, StringSegment boundary, string folder, CancellationToken aborted)
    {
        RequestBody.Limit(request, options.Value.MaxUploadBytes);
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        List<(string Name, string Path)> files = [];
        MultipartReader parts = RequestBody.Parts(request, boundary, bufferBytes: 64 * 1024);
        while (await NextPart(parts, aborted) is { } part)
        {
            ContentDispositionHeaderValue disposition = RequestBody.Disposition(part);
            string field = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
            switch (field)
            {
                case "archive" or "captions":
                    if (files.Count == MaxFiles)
                        throw new ProblemException(ProblemTable.InvalidOption, $"A form brings at most {MaxFiles} files; put them into one archive.");
                    string sent = RequestBody.FileName(disposition);
                    string path = Path.Combine(folder, $"part{files.Count}");
                    await Store(part.Body, path, aborted);
                    files.Add((sent.Length > 0 ? sent[(sent.LastIndexOfAny(['/', '\\']) + 1)..] : field, path));
                    break;
                case "name" or "language":
                    if (!fields.TryAdd(field, await RequestBody.ReadText(part.Body, MaxFieldBytes, aborted) ?? throw new ProblemException(ProblemTable.InvalidOption, $"The field '{field}' is longer than {MaxFieldBytes} bytes.")))
                        throw new ProblemException(ProblemTable.InvalidOption, $"The field '{field}' is in the form twice.");
                    break;
                default:
                    throw new ProblemException(ProblemTable.InvalidOption, $"There is no field '{field.Quoted()}': archive, captions, name or language.");
            }
        }
        return files.Count > 0
            ? new DatasetRequest(CheckName(fields.GetValueOrDefault("name") ?? Stem(files[^1].Name)), CheckLanguage(fields.GetValueOrDefault("language")), files, null)
            : throw new ProblemException(ProblemTable.NoArchive, "The form was read to its end without a file.");
    }

    /// <summary>The next part of a form; null at its end.</summary>
    /// <exception cref="ProblemException">The form breaks off.</exception>
    public static async Task<MultipartSection?> NextPart(MultipartReader parts, CancellationToken aborted)
    {
        try
        {
            return await parts.ReadNextSectionAsync(aborted);
        }
        catch (Exception failure) when (RequestBody.BreaksOff(failure, aborted))
        {
            throw RequestBody.BrokenForm();
        }
    }

    /// <summary>Streams a part to the disk. Reading and writing fail apart: a body that breaks off is the caller's, a full disk is not.</summary>
    public static async Task Store(Stream body, string path, CancellationToken aborted)
    {
        await using FileStream file = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous);
        byte[] buffer = new byte[256 * 1024];
        while (true)
        {
            int read;
            try
            {
                read = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, aborted);
            }
            catch (Exception failure) when (RequestBody.BreaksOff(failure, aborted))
            {
                throw RequestBody.BrokenForm();
            }
            if (read == 0)
                return;
            await file.WriteAsync(buffer.AsMemory(0, read), aborted);
        }
    }

    private static async Task<DatasetRequest> ReadJson(HttpRequest request, CancellationToken aborted)
    {
        RequestBody.Limit(request, MaxJsonBytes);
        try
        {
            FolderImport body = await JsonSerializer.DeserializeAsync<FolderImport>(request.Body, FolderImport.Format, aborted)
                ?? throw new JsonException();
            if (body.Unknown?.Keys.FirstOrDefault() is { } unknown)
                throw new ProblemException(ProblemTable.InvalidOption, $"There is no member '{unknown.Quoted()}': folder, feedback, name or language.");
            if (body.Feedback == true)
            {
                return body.Folder is null ? new DatasetRequest(CheckName(body.Name ?? "feedback"), CheckLanguage(body.Language), [], null, Feedback: true)
                    : throw new ProblemException(ProblemTable.InvalidOption, "A data set is made of a folder or of feedback, not of both.");
            }
            if (string.IsNullOrWhiteSpace(body.Folder))
                throw new ProblemException(ProblemTable.InvalidOption, "The member 'folder' is missing; or feedback, with the value true.");
            return new DatasetRequest(CheckName(body.Name ?? Path.GetFileName(body.Folder.TrimEnd('/', '\\'))), CheckLanguage(body.Language), [], body.Folder);
        }
        catch (JsonException malformed)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is not the JSON that is expected, at {malformed.Path ?? "$"}.");
        }
    }

    private static string CheckName(string name) =>
        name.Trim() is { Length: >= 1 and <= MaxNameLength } trimmed && !trimmed.Any(char.IsControl)
            ? trimmed
            : throw new ProblemException(ProblemTable.InvalidOption, $"The name must have 1 to {MaxNameLength} characters.");

    private static string CheckLanguage(string? language) => language is null ? "en" : LanguageTag.Read(language);

    // The default name: the file's, without .zip or .tar.gz.
    private static string Stem(string file)
    {
        string stem = ShortText.Printable(file);
        int dot = stem.IndexOf('.', Math.Min(1, stem.Length));
        stem = dot > 0 ? stem[..dot] : stem;
        return stem.Length <= MaxNameLength ? stem : stem[..MaxNameLength];
    }

}

/// <summary>The JSON way in: a folder of the server, or the corrections.</summary>
internal sealed record FolderImport
{
    public static readonly JsonSerializerOptions Format = new(Json.Requests) { PropertyNameCaseInsensitive = false };

    public string? Folder { get; init; }

    public bool? Feedback { get; init; }

    public string? Name { get; init; }

    public string? Language { get; init; }

    [System.Text.Json.Serialization.JsonExtensionData]
    public Dictionary<string, JsonElement>? Unknown { get; init; }
}
