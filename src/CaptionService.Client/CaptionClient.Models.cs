namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    /// <summary>The models, the one that answers first.</summary>
    public Task<ModelsResponse> GetModelsAsync(CancellationToken cancellation = default) => Get<ModelsResponse>("/models", cancellation);

    /// <summary>One model with its versions.</summary>
    public Task<ModelResponse> GetModelAsync(string name, CancellationToken cancellation = default) =>
        Get<ModelResponse>($"/models/{Segment(name)}", cancellation);

    /// <summary>Adds a version from the zip of a bundle.</summary>
    public Task<ModelVersionResponse> UploadModelAsync(Stream zip, CancellationToken cancellation = default) =>
        Send<ModelVersionResponse>(HttpMethod.Post, "/models", File(zip, "application/zip"), cancellation);

    /// <summary>Puts a version into service.</summary>
    public Task<ModelVersionResponse> ActivateModelAsync(string name, int version, CancellationToken cancellation = default) =>
        Post<ModelVersionResponse>($"/models/{Segment(name)}/versions/{version}/activate", cancellation);

    /// <summary>Puts back what was active before a model.</summary>
    public Task<ModelVersionResponse> RollbackModelAsync(string name, CancellationToken cancellation = default) =>
        Post<ModelVersionResponse>($"/models/{Segment(name)}/rollback", cancellation);

    /// <summary>A version's bundle as a zip; the caller disposes the stream.</summary>
    public Task<Stream> DownloadModelAsync(string name, int version, CancellationToken cancellation = default) =>
        Download($"/models/{Segment(name)}/versions/{version}/download", "application/zip", cancellation);

    /// <summary>Deletes a version that is not active.</summary>
    public Task DeleteModelAsync(string name, int version, CancellationToken cancellation = default) =>
        Delete($"/models/{Segment(name)}/versions/{version}", cancellation);
}
