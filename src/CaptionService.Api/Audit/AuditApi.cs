using System.Security.Claims;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Audit;

/// <summary>Who changed what, from where.</summary>
public static partial class AuditApi
{
    /// <summary>Writes a line for each change that was made: whatever succeeded, is no GET, and needs more than captioning, or is <see cref="Audited"/>.</summary>
    public static void UseAudit(this WebApplication app) => app.Use(static async (context, next) =>
    {
        await next(context);
        if (!HttpMethods.IsGet(context.Request.Method) && context.Response.StatusCode < 400 && IsChange(context.GetEndpoint()?.Metadata))
            await Write(context);
    });

    /// <summary>Maps <c>GET /audit</c>.</summary>
    public static void MapAudit(this IEndpointRouteBuilder routes) =>
        routes.MapGet("/audit", async Task<Ok<AuditResponse>> (CaptionDb db, string? offset, string? limit, CancellationToken aborted) =>
            {
                (int skip, int take) = Paging.List.Read(offset, limit);
                List<AuditEntry> page = await db.AuditEntries.AsNoTracking().OrderByDescending(entry => entry.At).ThenBy(entry => entry.Id).Skip(skip).Take(take).ToListAsync(aborted);
                return TypedResults.Ok(new AuditResponse(await db.AuditEntries.CountAsync(aborted), skip, [.. page.Select(AuditEntryResponse.Of)]));
            })
            .Needs(Scope.Admin).WithTags("Audit").WithName("GetAudit").WithSummary("Who changed models, jobs, data sets and keys, the newest first")
            .WithDescription("A line for each change that was made. It holds no photo, caption, file name or key.")
            .Problems(400, 503).Describe(Paging.List.Describe);

    private static bool IsChange(EndpointMetadataCollection? route) => route?.GetMetadata<NeededScope>() is { Scope: > Scope.Caption } || route?.GetMetadata<Audited>() is not null;

    private static async Task Write(HttpContext context)
    {
        string? made = context.Response.Headers.Location;
        var entry = new AuditEntry
        {
            Id = Ids.New(),
            At = context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow(),
            Action = context.GetEndpoint()?.Metadata.GetMetadata<IEndpointNameMetadata>()?.EndpointName ?? context.Request.Method,
            Target = string.IsNullOrEmpty(made) ? context.Request.Path.ToString() : made,
            KeyId = context.KeyId(),
            Who = context.User.FindFirstValue(ClaimTypes.Name),
            From = context.From(),
        };
        try
        {
            await using CaptionDb db = await context.RequestServices.GetRequiredService<IDbContextFactory<CaptionDb>>().CreateDbContextAsync(CancellationToken.None);
            db.AuditEntries.Add(entry);
            await db.SaveChangesAsync(CancellationToken.None);
        }
        catch (Exception failure)
        {
            // What was done is done, and its caller is answered: the log has the line instead.
            Log.NotWritten(context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(AuditApi)), entry.Action, entry.Target, entry.KeyId, entry.From, failure);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "The audit could not be written: {Action} {Target} by key {KeyId} from {From}")]
        public static partial void NotWritten(ILogger logger, string action, string target, string? keyId, string? from, Exception failure);
    }
}

/// <summary>Answer of <c>GET /audit</c>.</summary>
/// <param name="Total">Changes in all.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Entries">The page, the newest first.</param>
public sealed record AuditResponse(int Total, int Offset, IReadOnlyList<AuditEntryResponse> Entries);

/// <summary>One change.</summary>
/// <param name="At">When it was done.</param>
/// <param name="Action">The operation, as this document names it.</param>
/// <param name="Target">What was changed or made: its address.</param>
/// <param name="KeyId">Id of the key; null where none was needed.</param>
/// <param name="Who">Name of the key, or what else did it.</param>
/// <param name="From">The address it came from; null from the server's own command line.</param>
public sealed record AuditEntryResponse(DateTimeOffset At, string Action, string Target, string? KeyId, string? Who, string? From)
{
    internal static AuditEntryResponse Of(AuditEntry entry) => new(entry.At, entry.Action, entry.Target, entry.KeyId, entry.Who, entry.From);
}
