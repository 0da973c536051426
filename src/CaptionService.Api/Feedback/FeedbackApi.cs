using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Feedback;

/// <summary>Corrected captions, to train on.</summary>
public static class FeedbackApi
{
    /// <summary>Registers what keeps them.</summary>
    public static IServiceCollection AddFeedback(this IServiceCollection services)
    {
        services.AddOptions<FeedbackOptions>().BindConfiguration(FeedbackOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<FeedbackPhotos>();
        return services.AddHostedService(provider => provider.GetRequiredService<FeedbackPhotos>());
    }

    /// <summary>Maps <c>/feedback</c>.</summary>
    public static void MapFeedback(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder feedback = routes.MapGroup("/feedback").WithTags("Feedback");
        feedback.MapPost("/", Post).Needs(Scope.Caption).WithMetadata(new Audited()).WithName("PostFeedback").WithSummary("Keeps a corrected caption")
            .WithDescription("Where the operator keeps feedback (`Feedback:Enabled`). Send the right caption with the photo, as a file of a form or in JSON; then the photo is kept, to train on it, until its last correction is deleted. "
                + "Or send the photo's digest alone: then the words are kept, and count for training once a correction with the photo comes. `POST /datasets` with `{\"feedback\": true}` makes a data set of them.")
            .Problems(400, 408, 409, 413, 415, 422, 503, 507).Describe(FeedbackOperation.DescribePost);
        feedback.MapGet("/", List).Needs(Scope.Train).WithName("GetFeedback").WithSummary("The corrections, the newest first").Problems(400, 503).Describe(Paging.List.Describe).Describe(FeedbackOperation.DescribeLanguage);
        feedback.MapGet("/{id}", Get).Needs(Scope.Train).WithName("GetFeedbackEntry").WithSummary("One correction").Problems(404, 503).Describe(FeedbackOperation.DescribeId);
        feedback.MapPatch("/{id}", Patch).Needs(Scope.Train).Accepts<FeedbackTexts>("application/json").WithName("PatchFeedback").WithSummary("Edits a correction: what is given replaces what was there")
            .Problems(400, 404, 413, 415, 503).Describe(FeedbackOperation.DescribeId);
        feedback.MapDelete("/{id}", Delete).Needs(Scope.Train).WithName("DeleteFeedback").WithSummary("Deletes a correction, and its photo if no other is about it").Problems(404, 503).Describe(FeedbackOperation.DescribeId);
    }

    private static async Task<Created<FeedbackResponse>> Post(HttpContext http, CaptionDb db, PhotoDecoder decoder, FeedbackPhotos photos, IOptions<FeedbackOptions> options, TimeProvider time, CancellationToken aborted)
    {
        if (!options.Value.Enabled)
            throw new ProblemException(ProblemTable.FeedbackDisabled, "This service keeps no feedback (Feedback:Enabled).");
        FeedbackRequest request = await FeedbackReader.Read(http.Request, decoder, aborted);
        if (await db.Feedback.CountAsync(aborted) >= options.Value.MaxEntries)
            throw new ProblemException(ProblemTable.FeedbackFull, $"{options.Value.MaxEntries:N0} corrections are kept already.");
        DateTimeOffset now = time.GetUtcNow();
        var entry = new FeedbackEntry
        {
            Id = Ids.New(),
            Photo = request.Digest,
            Caption = request.Texts.Caption!,
            Given = request.Texts.Given,
            Language = request.Texts.Language ?? "en",
            Who = request.Texts.Who,
            KeyId = http.KeyId(),
            CreatedAt = now,
            ChangedAt = now,
        };
        await photos.Add(db, entry, request.Photo);
        return TypedResults.Created($"/feedback/{entry.Id}", FeedbackResponse.Of(entry, photos));
    }

    private static async Task<Ok<FeedbackListResponse>> List(CaptionDb db, FeedbackPhotos photos, IOptions<FeedbackOptions> options, string? language, string? offset, string? limit, CancellationToken aborted)
    {
        (int skip, int take) = Paging.List.Read(offset, limit);
        string? tag = language is null ? null : LanguageTag.Read(language);
        IQueryable<FeedbackEntry> wanted = db.Feedback.AsNoTracking().Where(entry => tag == null || entry.Language == tag);
        List<FeedbackEntry> page = await wanted.OrderByDescending(entry => entry.CreatedAt).ThenBy(entry => entry.Id).Skip(skip).Take(take).ToListAsync(aborted);
        return TypedResults.Ok(new FeedbackListResponse(options.Value.Enabled, await wanted.CountAsync(aborted), skip, [.. page.Select(entry => FeedbackResponse.Of(entry, photos))]));
    }

    private static async Task<Ok<FeedbackResponse>> Get(string id, CaptionDb db, FeedbackPhotos photos, CancellationToken aborted) =>
        TypedResults.Ok(FeedbackResponse.Of(await Find(db, id, aborted), photos));

    private static async Task<Ok<FeedbackResponse>> Patch(string id, HttpRequest request, CaptionDb db, FeedbackPhotos photos, TimeProvider time, CancellationToken aborted)
    {
        FeedbackTexts texts = (await JsonBody.Read<FeedbackTexts>(request, aborted)).Checked();
        FeedbackEntry entry = await Find(db, id, aborted);
        (entry.Caption, entry.Given, entry.Language, entry.Who) = (texts.Caption ?? entry.Caption, texts.Given ?? entry.Given, texts.Language ?? entry.Language, texts.Who ?? entry.Who);
        entry.ChangedAt = time.GetUtcNow();
        await db.SaveChangesAsync(CancellationToken.None);
        return TypedResults.Ok(FeedbackResponse.Of(entry, photos));
    }

    private static async Task<NoContent> Delete(string id, CaptionDb db, FeedbackPhotos photos, CancellationToken aborted)
    {
        await photos.Delete(db, await Find(db, id, aborted));
        return TypedResults.NoContent();
    }

    private static async Task<FeedbackEntry> Find(CaptionDb db, string id, CancellationToken aborted) =>
        (Ids.Is(id) ? await db.Feedback.FirstOrDefaultAsync(entry => entry.Id == id, aborted) : null) ?? throw new ProblemException(ProblemTable.FeedbackNotFound, $"No correction has the id '{id.Quoted()}'.");
}

/// <summary>Answer of <c>GET /feedback</c>.</summary>
/// <param name="Enabled">Whether more is kept.</param>
/// <param name="Total">Corrections in all, of the language where one is asked for.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Feedback">The page, the newest first.</param>
public sealed record FeedbackListResponse(bool Enabled, int Total, int Offset, IReadOnlyList<FeedbackResponse> Feedback);

/// <summary>One correction.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Digest">SHA-256 of the photo's file.</param>
/// <param name="PhotoKept">Whether the photo is there, so that it can be trained on.</param>
/// <param name="Given">The caption that was given.</param>
/// <param name="Caption">The right one.</param>
/// <param name="Language">Its language (BCP 47).</param>
/// <param name="Who">Who says so.</param>
/// <param name="KeyId">The key that it came with; null where none was needed.</param>
/// <param name="CreatedAt">When it was sent.</param>
/// <param name="ChangedAt">When it was changed last.</param>
public sealed record FeedbackResponse(string Id, string Digest, bool PhotoKept, string? Given, string Caption, string Language, string? Who, string? KeyId, DateTimeOffset CreatedAt, DateTimeOffset ChangedAt)
{
    internal static FeedbackResponse Of(FeedbackEntry entry, FeedbackPhotos photos) =>
        new(entry.Id, entry.Photo, photos.Has(entry.Photo), entry.Given, entry.Caption, entry.Language, entry.Who, entry.KeyId, entry.CreatedAt, entry.ChangedAt);
}
