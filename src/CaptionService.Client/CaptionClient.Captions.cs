namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    /// <summary>Captions 1 to 16 photos. Of several, one that cannot be captioned has its problem in its place.</summary>
    /// <exception cref="CaptionServiceException">The request is refused, or its only photo is.</exception>
    public async Task<CaptionsResponse> CaptionAsync(
        IEnumerable<PhotoFile> photos, CaptionRequestOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(photos);
        using var form = new MultipartFormDataContent();
        foreach (PhotoFile photo in photos)
            form.Add(File(photo.Content), "photo", photo.Name);
        return await Send<CaptionsResponse>(HttpMethod.Post, "/captions" + Query((options ?? new()).Parameters()), form, cancellation)
            .ConfigureAwait(false);
    }

    /// <summary>Captions one photo.</summary>
    /// <exception cref="CaptionServiceException">The photo or an option is refused.</exception>
    public Task<CaptionsResponse> CaptionAsync(Stream photo, CaptionRequestOptions? options = null,
        CancellationToken cancellation = default) =>
        Send<CaptionsResponse>(HttpMethod.Post, "/captions" + Query((options ?? new()).Parameters()), File(photo), cancellation);
}
