using Microsoft.Security.AntiSSRF;

namespace CaptionService.Api.Fetch;

/// <summary>
/// An HTTP client that only reaches public addresses, and networks that the operator names (server-side request forgery, OWASP).
/// The library resolves a name, refuses it where any of its addresses is private, loopback, link-local or otherwise not public,
/// connects to what it has checked, and does so again for each redirection.
/// </summary>
internal static class GuardedClient
{
    /// <summary>A new one, without a limit of time.</summary>
    /// <param name="allowedNetworks">As CIDR.</param>
    /// <param name="redirects">Most redirections that are followed.</param>
    public static HttpClient New(IReadOnlyList<string> allowedNetworks, int redirects)
    {
        var policy = new AntiSSRFPolicy(PolicyConfigOptions.ExternalOnlyLatest) { AllowPlainTextHttp = true, AddXFFHeader = false };
        // IPv4 in IPv6 as it once was written (RFC 4291, 2.5.5.1; RFC 2765), which the library lets pass
        policy.AddDeniedAddresses(["::/96", "::ffff:0:0:0/96"]);
        if (allowedNetworks.Count > 0)
            policy.AddAllowedAddresses([.. allowedNetworks]);
        AntiSSRFHandler handler = policy.GetHandler();
        (handler.UseCookies, handler.Credentials) = (false, null);
        handler.AllowAutoRedirect = redirects > 0;
        if (redirects > 0)
            handler.MaxAutomaticRedirections = redirects;
        handler.PooledConnectionLifetime = TimeSpan.FromMinutes(1);     // then the name is resolved, and checked, anew
        var client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.UserAgent.ParseAdd("CaptionService");
        return client;
    }

    /// <summary>Whether a failure means that the address is none that may be reached. Besides the library's own: what the resolver says of 0.0.0.0, and the client of a redirection to ftp: or to no address at all.</summary>
    public static bool IsRefused(Exception? failure) =>
        failure is AntiSSRFException or ArgumentException or NotSupportedException or InvalidOperationException or FormatException
            || (failure is not null && IsRefused(failure.InnerException));
}
