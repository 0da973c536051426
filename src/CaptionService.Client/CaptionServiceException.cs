using System.Net.Http.Json;
using System.Text.Json;

namespace CaptionService.Client;

/// <summary>The service refused a request, or failed at it; the message says why and what to do.</summary>
public sealed class CaptionServiceException : Exception
{
    private CaptionServiceException(int status, ProblemDetails problem, TimeSpan? retryAfter)
        : base(problem.Detail ?? problem.Title ?? $"The service answered with {status}.") =>
        (Status, Problem, RetryAfter) = (status, problem, retryAfter);

    /// <summary>The HTTP status.</summary>
    public int Status { get; }

    /// <summary>What went wrong, as the service says it.</summary>
    public ProblemDetails Problem { get; }

    /// <summary>Stable name of this kind of problem, such as <c>queue_full</c>; null where something else than the service
    /// answered.</summary>
    public string? Code => Problem.Code;

    /// <summary>When to try again; null: the same request would fail again.</summary>
    public TimeSpan? RetryAfter { get; }

    internal static async Task<CaptionServiceException> Of(HttpResponseMessage response, CancellationToken cancellation)
    {
        ProblemDetails? problem = null;
        try
        {
            problem = response.Content.Headers.ContentType?.MediaType == "application/problem+json"
                ? await response.Content.ReadFromJsonAsync(ClientJson.Of<ProblemDetails>(), cancellation).ConfigureAwait(false) : null;
        }
        catch (JsonException)
        {
            // A proxy's answer that calls itself a problem.
        }
        return new CaptionServiceException((int)response.StatusCode, problem ?? new ProblemDetails { Title = response.ReasonPhrase },
            response.Headers.RetryAfter?.Delta);
    }
}
