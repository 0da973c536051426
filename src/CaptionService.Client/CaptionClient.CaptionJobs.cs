using System.Runtime.CompilerServices;
using System.Text.Json;

namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    /// <summary>Captions many photos in the background.</summary>
    public async Task<CaptionJobResponse> StartCaptionJobAsync(CaptionSource source, CaptionRequestOptions? options = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        string path = "/caption-jobs" + Query((options ?? new()).Parameters());
        if (source.ArchiveContent is not { } archive)
            return await PostJson<CaptionJobSource, CaptionJobResponse>(path, new(source.DatasetId, source.FolderPath), cancellation)
                .ConfigureAwait(false);
        using var form = new MultipartFormDataContent { { File(archive), "archive", "archive" } };
        return await Send<CaptionJobResponse>(HttpMethod.Post, path, form, cancellation).ConfigureAwait(false);
    }

    /// <summary>A page of jobs, the newest first.</summary>
    public Task<CaptionJobsResponse> GetCaptionJobsAsync(int? offset = null, int? limit = null, CancellationToken cancellation = default) =>
        Get<CaptionJobsResponse>("/caption-jobs" + Query(("offset", offset), ("limit", limit)), cancellation);

    /// <summary>One job.</summary>
    public Task<CaptionJobResponse> GetCaptionJobAsync(string id, CancellationToken cancellation = default) =>
        Get<CaptionJobResponse>($"/caption-jobs/{Segment(id)}", cancellation);

    /// <summary>The job whenever it has changed, until it has ended.</summary>
    public IAsyncEnumerable<CaptionJobResponse> WatchCaptionJobAsync(string id, CancellationToken cancellation = default) =>
        Events<CaptionJobResponse>($"/caption-jobs/{Segment(id)}/events", "job", cancellation);

    /// <summary>A page of the results so far.</summary>
    public Task<CaptionJobResultsResponse> GetCaptionJobResultsAsync(string id, int? offset = null, int? limit = null,
        CancellationToken cancellation = default) =>
        Get<CaptionJobResultsResponse>($"/caption-jobs/{Segment(id)}/results" + Query(("offset", offset), ("limit", limit)), cancellation);

    /// <summary>All results so far, as they come.</summary>
    /// <param name="id">The job.</param>
    /// <param name="offset">How many to leave out.</param>
    /// <param name="cancellation">Gives up.</param>
    public async IAsyncEnumerable<CaptionJobResult> ReadCaptionJobResultsAsync(string id, int? offset = null,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await foreach (string line in Lines($"/caption-jobs/{Segment(id)}/results" + Query(("format", "jsonl"), ("offset", offset)),
            "application/x-ndjson", cancellation).ConfigureAwait(false))
            yield return JsonSerializer.Deserialize(line, ClientJson.Of<CaptionJobResult>())!;
    }

    /// <summary>All results so far as CSV; the caller disposes the stream.</summary>
    public Task<Stream> DownloadCaptionJobResultsAsync(string id, CancellationToken cancellation = default) =>
        Download($"/caption-jobs/{Segment(id)}/results?format=csv", "text/csv", cancellation);

    /// <summary>Stops a job; its results stay.</summary>
    public Task<CaptionJobResponse> CancelCaptionJobAsync(string id, CancellationToken cancellation = default) =>
        Post<CaptionJobResponse>($"/caption-jobs/{Segment(id)}/cancel", cancellation);

    /// <summary>Goes on with a cancelled or failed job.</summary>
    public Task<CaptionJobResponse> ResumeCaptionJobAsync(string id, CancellationToken cancellation = default) =>
        Post<CaptionJobResponse>($"/caption-jobs/{Segment(id)}/resume", cancellation);

    /// <summary>Captions a job's photos with another model, in a job of its own.</summary>
    public Task<CaptionJobResponse> CompareCaptionJobAsync(string id, string model, CancellationToken cancellation = default) =>
        PostJson<CaptionComparisonRequest, CaptionJobResponse>($"/caption-jobs/{Segment(id)}/compare", new() { Model = model }, cancellation);

    /// <summary>A page of what such a job has changed, the worst first.</summary>
    public Task<CaptionChangesResponse> GetCaptionJobChangesAsync(string id, int? offset = null, int? limit = null,
        CancellationToken cancellation = default) =>
        Get<CaptionChangesResponse>($"/caption-jobs/{Segment(id)}/changes" + Query(("offset", offset), ("limit", limit)), cancellation);

    /// <summary>Deletes a job that has ended.</summary>
    public Task DeleteCaptionJobAsync(string id, CancellationToken cancellation = default) =>
        Delete($"/caption-jobs/{Segment(id)}", cancellation);
}
