using System.Security.Claims;
using System.Text.Encodings.Web;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Keys;

/// <summary>Who calls: the key in <c>Authorization: Bearer</c>, <c>X-Api-Key</c> or the like. Where no key is needed, everybody is an admin.</summary>
internal sealed class KeyAuthentication(KeyRing keys, IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "ApiKey";

    // The last two are what clients of compatible services send.
    private static readonly string[] Headers = ["X-Api-Key", "api-key", "Ocp-Apim-Subscription-Key"];

    private const string Bearer = "Bearer ";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        string? shown = Shown(Request);
        KnownKey? key = shown is null ? null : keys.Find(shown);
        return Task.FromResult(
            key is not null ? Success(key.Scope, new Claim(ClaimTypes.NameIdentifier, key.Id), new Claim(ClaimTypes.Name, key.Name))
            : !keys.Required ? Success(Scope.Admin)
            : shown is null ? AuthenticateResult.NoResult() : AuthenticateResult.Fail("No such key."));
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => throw (Shown(Request) is null
        ? new ProblemException(ProblemTable.NoKey, $"{Request.Method} {Request.Path} needs a key.")
        : new ProblemException(ProblemTable.BadKey, "The key is unknown, revoked or expired."));

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties)
    {
        Scope needed = Context.GetEndpoint()?.Metadata.GetMetadata<NeededScope>()?.Scope ?? Scope.Admin;
        throw new ProblemException(ProblemTable.ScopeMissing, $"{Request.Method} {Request.Path} needs a key of the scope '{needed.Name()}'.");
    }

    private static string? Shown(HttpRequest request)
    {
        string? authorization = request.Headers.Authorization;
        return authorization?.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) == true
            ? authorization[Bearer.Length..].Trim()
            : Array.Find(Array.ConvertAll(Headers, name => (string?)request.Headers[name]), value => !string.IsNullOrEmpty(value));
    }

    private static AuthenticateResult Success(Scope scope, params Claim[] claims) =>
        AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(new ClaimsIdentity([new Claim(Scopes.Claim, scope.ToString()), .. claims], SchemeName)), SchemeName));
}
