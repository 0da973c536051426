namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(0.5);

    /// <summary>Sends an archive of photos with captions (zip, tar, tar.gz).</summary>
    /// <param name="archive">The archive; the caller disposes it.</param>
    /// <param name="name">What to call the data set.</param>
    /// <param name="language">Language of the captions (BCP 47); null: English.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task<DatasetResponse> UploadDatasetAsync(Stream archive, string name, string? language = null,
        CancellationToken cancellation = default)
    {
        using var form = new MultipartFormDataContent { { File(archive), "archive", "archive" }, { new StringContent(name), "name" } };
        if (language is not null)
            form.Add(new StringContent(language), "language");
        return await Send<DatasetResponse>(HttpMethod.Post, "/datasets", form, cancellation).ConfigureAwait(false);
    }

    /// <summary>Imports a folder of the server that its operator allows.</summary>
    public Task<DatasetResponse> ImportDatasetAsync(string folder, string? name = null, string? language = null,
        CancellationToken cancellation = default) =>
        PostJson<DatasetSource, DatasetResponse>("/datasets", new(folder, name, language), cancellation);

    /// <summary>Makes a data set of the corrections whose photos are kept.</summary>
    public Task<DatasetResponse> CreateDatasetFromFeedbackAsync(string? name = null, string? language = null,
        CancellationToken cancellation = default) =>
        PostJson<DatasetSource, DatasetResponse>("/datasets", new(null, name, language, Feedback: true), cancellation);

    /// <summary>A page of the data sets, the newest first.</summary>
    public Task<DatasetsResponse> GetDatasetsAsync(int? offset = null, int? limit = null, CancellationToken cancellation = default) =>
        Get<DatasetsResponse>("/datasets" + Query(("offset", offset), ("limit", limit)), cancellation);

    /// <summary>One data set.</summary>
    public Task<DatasetResponse> GetDatasetAsync(string id, CancellationToken cancellation = default) =>
        Get<DatasetResponse>($"/datasets/{Segment(id)}", cancellation);

    /// <summary>Waits until a data set is looked through: its status is then <c>ready</c> or <c>refused</c>.</summary>
    public async Task<DatasetResponse> WaitForDatasetAsync(string id, CancellationToken cancellation = default)
    {
        while (true)
        {
            DatasetResponse dataset = await GetDatasetAsync(id, cancellation).ConfigureAwait(false);
            if (dataset.Status != "checking")
                return dataset;
            await Task.Delay(s_look, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>A page of a data set's photos, with captions and splits.</summary>
    public Task<DatasetItemsResponse> GetDatasetItemsAsync(string id, string? split = null, int? offset = null, int? limit = null,
        CancellationToken cancellation = default) =>
        Get<DatasetItemsResponse>($"/datasets/{Segment(id)}/items" + Query(("split", split), ("offset", offset), ("limit", limit)),
            cancellation);

    /// <summary>A photo of a data set as it came; the caller disposes the stream.</summary>
    public Task<Stream> GetDatasetPhotoAsync(string id, string photo, CancellationToken cancellation = default) =>
        Download($"/datasets/{Segment(id)}/photos/{Segment(photo)}", "*/*", cancellation);

    /// <summary>Deletes a data set that no job uses.</summary>
    public Task DeleteDatasetAsync(string id, CancellationToken cancellation = default) => Delete($"/datasets/{Segment(id)}", cancellation);
}
