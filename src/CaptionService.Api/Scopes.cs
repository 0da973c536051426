using System.Net;
using System.Security.Claims;

namespace CaptionService.Api;

/// <summary>What a caller may do; each scope includes those before it.</summary>
public enum Scope
{
    /// <summary>Caption photos, see the models.</summary>
    Caption,

    /// <summary>Bring data sets, train, evaluate, download models.</summary>
    Train,

    /// <summary>Change which models answer; keys and audit.</summary>
    Admin,
}

/// <summary>The scope that a route needs, as its metadata.</summary>
internal sealed record NeededScope(Scope Scope);

/// <summary>A route whose changes are in the audit though callers who only caption may make them.</summary>
internal sealed record Audited;

/// <summary>Which scope a route needs, and which a caller has. A route that does not say needs <see cref="Scope.Admin"/>.</summary>
internal static class Scopes
{
    /// <summary>The claim that names a caller's scope.</summary>
    public const string Claim = "scope";

    /// <summary>The policy of a scope.</summary>
    public static string Policy(Scope scope) => $"{Claim}:{scope}";

    /// <summary>Lets only callers with a scope use a route.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder routes, Scope scope) where TBuilder : IEndpointConventionBuilder =>
        routes.Guard(scope).ProducesProblem(401).ProducesProblem(403).ProducesProblem(429);

    /// <summary>As <see cref="Needs"/>, for a route that describes its refusals itself.</summary>
    public static TBuilder Guard<TBuilder>(this TBuilder routes, Scope scope) where TBuilder : IEndpointConventionBuilder =>
        routes.RequireAuthorization(Policy(scope)).WithMetadata(new NeededScope(scope));

    /// <summary>Whether a caller has a scope.</summary>
    public static bool May(this ClaimsPrincipal caller, Scope scope) =>
        Enum.TryParse(caller.FindFirstValue(Claim), out Scope held) && held >= scope;

    /// <summary>The id of the caller's key; null where callers need none.</summary>
    public static string? KeyId(this HttpContext http) => http.User.FindFirstValue(ClaimTypes.NameIdentifier);

    /// <summary>Who calls, to be told apart from others: the key, or else the address; empty for this machine.</summary>
    public static string Caller(this HttpContext http) => http.KeyId()
        ?? (http.Connection.RemoteIpAddress is { } address && !IPAddress.IsLoopback(address) ? http.From() : "");

    /// <summary>The address a request came from; IPv4 as such, also on a socket of IPv6.</summary>
    public static string From(this HttpContext http) =>
        http.Connection.RemoteIpAddress is { } address ? (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString() : "";

    /// <summary>A scope by its name in small letters.</summary>
    public static Scope? Parse(string? name) => name switch { "caption" => Scope.Caption, "train" => Scope.Train, "admin" => Scope.Admin, _ => null };
}
