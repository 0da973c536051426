using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Infrastructure;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace CaptionService.Api.Keys;

/// <summary>Who may use the service, and the keys that say so.</summary>
public static class KeysApi
{
    /// <summary>Registers keys, and has the server refuse to listen where others reach it without one.</summary>
    public static void AddKeys(this WebApplicationBuilder builder)
    {
        IServiceCollection services = builder.Services;
        services.AddOptions<AuthOptions>().BindConfiguration(AuthOptions.Section).ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<KeyRing>();
        services.AddHostedService(provider => provider.GetRequiredService<KeyRing>());
        // AddAuthentication would bring data protection, which writes keys of its own into the home folder; nothing here needs them.
        services.AddWebEncoders();
        services.AddTransient<KeyAuthentication>();
        services.AddAuthenticationCore(authentication =>
        {
            authentication.DefaultScheme = KeyAuthentication.SchemeName;
            authentication.AddScheme<KeyAuthentication>(KeyAuthentication.SchemeName, null);
        });
        AuthorizationBuilder authorization = services.AddAuthorizationBuilder();
        foreach (Scope scope in Enum.GetValues<Scope>())
            authorization.AddPolicy(Scopes.Policy(scope), policy => policy.RequireAuthenticatedUser().RequireAssertion(call => call.User.May(scope)));
        // A route that names no scope is for admins. What is no route has nothing to guard: pages of files, 404, 405.
        authorization.SetFallbackPolicy(new AuthorizationPolicy(
            [new AssertionRequirement(call => call.Resource is HttpContext http && http.GetEndpoint() is not RouteEndpoint || call.User.May(Scope.Admin))], []));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ConfigureEndpointDefaults(listen => kestrel.ApplicationServices.GetRequiredService<KeyRing>().Listens(listen.EndPoint)));
    }

    /// <summary>From here on it is known who calls, and who may not is refused.</summary>
    public static void UseKeys(this WebApplication app)
    {
        app.UseAuthentication();
        app.UseRateLimits();     // before who may not is refused: guessing keys is limited too
        app.UseAuthorization();
    }

    /// <summary>Maps <c>/keys</c>.</summary>
    public static void MapKeys(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder keys = routes.MapGroup("/keys").WithTags("Keys").Needs(Scope.Admin);

        keys.MapPost("/", async Task<Created<NewKeyResponse>> (HttpRequest http, CaptionDb db, KeyRing ring, TimeProvider time, CancellationToken aborted) =>
            {
                (ApiKey key, string text) = (await JsonBody.Read<NewKey>(http, aborted)).Make(time.GetUtcNow());
                db.ApiKeys.Add(key);
                await db.SaveChangesAsync(CancellationToken.None);
                await ring.Reload(CancellationToken.None);
                http.HttpContext.Response.Headers.CacheControl = "no-store";
                return TypedResults.Created($"/keys/{key.Id}", new NewKeyResponse(text, KeyResponse.Of(key)));
            })
            .Accepts<NewKey>("application/json").WithName("PostKey").WithSummary("Makes a key")
            .WithDescription("The answer is the only place where the key is ever shown. From the first key on, callers need one also where the service listens on its own machine only.")
            .Problems(400, 413, 415, 503);

        keys.MapGet("/", async Task<Ok<KeysResponse>> (CaptionDb db, string? offset, string? limit, CancellationToken aborted) =>
            {
                (int skip, int take) = Paging.List.Read(offset, limit);
                List<ApiKey> page = await db.ApiKeys.AsNoTracking().OrderByDescending(key => key.CreatedAt).ThenBy(key => key.Id).Skip(skip).Take(take).ToListAsync(aborted);
                return TypedResults.Ok(new KeysResponse(await db.ApiKeys.CountAsync(aborted), [.. page.Select(KeyResponse.Of)]));
            })
            .WithName("GetKeys").WithSummary("The keys, the newest first; without what they open with").Problems(400, 503).Describe(Paging.List.Describe);

        keys.MapDelete("/{id}", async Task<NoContent> (string id, CaptionDb db, KeyRing ring, TimeProvider time, CancellationToken aborted) =>
            {
                await Revoke(db, id, time.GetUtcNow(), aborted);
                await ring.Reload(CancellationToken.None);
                return TypedResults.NoContent();
            })
            .WithName("DeleteKey").WithSummary("Revokes a key, at once; other servers of the database within 5 seconds").Problems(404, 503);
    }

    /// <summary>Revokes a key.</summary>
    /// <exception cref="ProblemException">There is none with this id that was not revoked.</exception>
    internal static async Task Revoke(CaptionDb db, string id, DateTimeOffset now, CancellationToken aborted)
    {
        if (await db.ApiKeys.Where(key => key.Id == id && key.RevokedAt == null).ExecuteUpdateAsync(key => key.SetProperty(k => k.RevokedAt, (DateTimeOffset?)now), aborted) == 0)
            throw new ProblemException(ProblemTable.KeyNotFound, "No key that counts has this id.");
    }
}

/// <summary>A key that was just made.</summary>
/// <param name="Key">The key itself. Keep it: it is not shown again.</param>
/// <param name="Made">What is known of it from now on.</param>
public sealed record NewKeyResponse(string Key, KeyResponse Made);

/// <summary>Answer of <c>GET /keys</c>.</summary>
/// <param name="Total">Keys in all.</param>
/// <param name="Keys">The page, the newest first.</param>
public sealed record KeysResponse(int Total, IReadOnlyList<KeyResponse> Keys);

/// <summary>One key.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Prefix">How it begins.</param>
/// <param name="Name">Whose it is, or what for.</param>
/// <param name="Scope"><c>caption</c>, <c>train</c> or <c>admin</c>; each includes those before it.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="ExpiresAt">When it ends; null: never.</param>
/// <param name="LastUsedAt">When it was last used, to a minute.</param>
/// <param name="RevokedAt">When it was revoked; null where it was not.</param>
public sealed record KeyResponse(string Id, string Prefix, string Name, string Scope, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? LastUsedAt, DateTimeOffset? RevokedAt)
{
    internal static KeyResponse Of(ApiKey key) =>
        new(key.Id, KeyText.PrefixOf(key.Id), key.Name, key.Scope.Name(), key.CreatedAt, key.ExpiresAt, key.LastUsedAt, key.RevokedAt);
}
