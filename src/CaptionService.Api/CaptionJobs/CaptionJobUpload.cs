using System.Text.Json;
using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api.CaptionJobs;

/// <summary>What one <c>POST /caption-jobs</c> asks for: one source of photos, and options.</summary>
/// <param name="Archive">An archive, on the disk.</param>
/// <param name="Dataset">Or the id of a data set.</param>
/// <param name="Folder">Or a folder of the server.</param>
/// <param name="Options">Options as text, by name.</param>
internal sealed record CaptionJobRequest(string? Archive, string? Dataset, string? Folder, IReadOnlyDictionary<string, string> Options)
{
    /// <summary>Which source.</summary>
    public string Source =>
        Archive is not null ? CaptionJobSources.Archive : Dataset is not null ? CaptionJobSources.Dataset : CaptionJobSources.Folder;
}

/// <summary>Reads the request: a form, whose archive is streamed to the disk as it comes, or JSON.</summary>
internal sealed class CaptionJobUpload(IOptions<DatasetsOptions> limits)
{
    private const int MaxFieldBytes = 4096;

    /// <summary>Reads it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="folder">Where the archive goes; the caller removes it.</param>
    /// <param name="aborted">The caller left.</param>
    /// <exception cref="ProblemException">The request is refused.</exception>
    public async Task<CaptionJobRequest> Read(HttpRequest request, string folder, CancellationToken aborted)
    {
        var options = new GivenOptions();
        foreach ((string name, StringValues values) in request.Query)
            options.AddQuery(name, values);
        CaptionJobRequest wanted = RequestBody.MediaType(request, out StringSegment boundary) switch
        {
            "multipart/form-data" => await ReadForm(request, boundary, options, folder, aborted),
            "application/json" => await ReadJson(request, options, aborted),
            _ => throw new ProblemException(ProblemTable.UnsupportedMediaType,
                "A caption job comes as multipart/form-data, or as JSON that names a data set or a folder of the server."),
        };
        return new[] { wanted.Archive, wanted.Dataset, wanted.Folder }.Count(source => source is not null) == 1 ? wanted
            : throw new ProblemException(ProblemTable.NoSource, "A job has exactly one of archive, dataset and folder.");
    }

    private async Task<CaptionJobRequest> ReadForm(HttpRequest request, StringSegment boundary, GivenOptions options, string folder,
        CancellationToken aborted)
    {
        RequestBody.Limit(request, limits.Value.MaxUploadBytes);
        string? archive = null;
        var sources = new Dictionary<string, string>();
        MultipartReader parts = RequestBody.Parts(request, boundary, bufferBytes: 64 * 1024);
        while (await DatasetUpload.NextPart(parts, aborted) is { } part)
        {
            string field = HeaderUtilities.RemoveQuotes(RequestBody.Disposition(part).Name).ToString();
            switch (field)
            {
                case CaptionJobSources.Archive when archive is null:
                    archive = Path.Combine(folder, "archive");
                    await DatasetUpload.Store(part.Body, archive, aborted);
                    break;
                case CaptionJobSources.Dataset or CaptionJobSources.Folder:
                    string text = await RequestBody.ReadText(part.Body, MaxFieldBytes, aborted)
                        ?? throw new ProblemException(ProblemTable.InvalidOption,
                        $"The field '{field}' is longer than {MaxFieldBytes} bytes.");
                    if (!sources.TryAdd(field, text))
                        throw new ProblemException(ProblemTable.InvalidOption, $"The field '{field}' is in the form twice.");
                    break;
                case CaptionJobSources.Archive:
                    throw new ProblemException(ProblemTable.InvalidOption, "The form has two archives; pack the photos into one.");
                default:
                    await options.AddField(field, part.Body, aborted);
                    break;
            }
        }
        return new CaptionJobRequest(archive, Given(sources.GetValueOrDefault(CaptionJobSources.Dataset)),
            Given(sources.GetValueOrDefault(CaptionJobSources.Folder)), options.Texts);
    }

    private static async Task<CaptionJobRequest> ReadJson(HttpRequest request, GivenOptions options, CancellationToken aborted)
    {
        CaptionJobBody body = await JsonBody.Read<CaptionJobBody>(request, aborted);
        foreach ((string name, JsonElement value) in body.Options ?? [])
            options.AddMember(name, value);
        return new CaptionJobRequest(null, Given(body.Dataset), Given(body.Folder), options.Texts);
    }

    private static string? Given(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
