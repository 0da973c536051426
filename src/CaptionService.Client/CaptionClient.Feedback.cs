using System.Net.Http.Json;

namespace CaptionService.Client;

public sealed partial class CaptionClient
{
    /// <summary>Sends the right caption of a photo, and the photo, which the service then keeps to train on.</summary>
    /// <param name="photo">The photo's file; the caller disposes it.</param>
    /// <param name="texts">The right caption, and what is known about it.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="CaptionServiceException">The correction is refused, or the service keeps none
    /// (<c>feedback_disabled</c>).</exception>
    public async Task<FeedbackResponse> SendFeedbackAsync(Stream photo, FeedbackTexts texts, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        using var form = new MultipartFormDataContent { { File(photo), "photo", "photo" } };
        foreach ((string name, string? value) in new[]
            { ("caption", texts.Caption), ("given", texts.Given), ("language", texts.Language), ("who", texts.Who) })
        {
            if (value is not null)
                form.Add(new StringContent(value), name);
        }
        return await Send<FeedbackResponse>(HttpMethod.Post, "/feedback", form, cancellation).ConfigureAwait(false);
    }

    /// <summary>A page of the corrections, the newest first.</summary>
    public Task<FeedbackListResponse> GetFeedbackAsync(string? language = null, int? offset = null, int? limit = null,
        CancellationToken cancellation = default) =>
        Get<FeedbackListResponse>("/feedback" + Query(("language", language), ("offset", offset), ("limit", limit)), cancellation);

    /// <summary>One correction.</summary>
    public Task<FeedbackResponse> GetFeedbackEntryAsync(string id, CancellationToken cancellation = default) =>
        Get<FeedbackResponse>($"/feedback/{Segment(id)}", cancellation);

    /// <summary>Edits a correction: what is given replaces what was there.</summary>
    public Task<FeedbackResponse> EditFeedbackAsync(string id, FeedbackTexts texts, CancellationToken cancellation = default) =>
        Send<FeedbackResponse>(HttpMethod.Patch, $"/feedback/{Segment(id)}", JsonContent.Create(texts, ClientJson.Of<FeedbackTexts>()),
            cancellation);

    /// <summary>Deletes a correction, and its photo if no other is about it.</summary>
    public Task DeleteFeedbackAsync(string id, CancellationToken cancellation = default) =>
        Delete($"/feedback/{Segment(id)}", cancellation);
}
