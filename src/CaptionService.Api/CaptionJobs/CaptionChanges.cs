using CaptionService.Api.Captions;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Language;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.CaptionJobs;

/// <summary>What would change with another model: the best captions of two jobs over the same photos, side by side.</summary>
internal static class CaptionChanges
{
    /// <summary>A page of the captions that differ, those that lost most confidence first.</summary>
    public static async Task<Ok<CaptionChangesResponse>> Get(string id, CaptionDb db,
        IOptions<StorageOptions> storage, string? offset, string? limit, CancellationToken aborted)
    {
        (int skip, int take) = Paging.List.Read(offset, limit);
        CaptionJob job = await CaptionJobsApi.Find(db, id, aborted);
        string other = job.ComparesWith
            ?? throw new ProblemException(ProblemTable.JobState,
                "The job is compared with none: POST /caption-jobs/{id}/compare makes one that is.");
        int compared = 0;
        var sums = (Old: 0.0, New: 0.0);
        var changes = new List<CaptionChange>();
        await using IAsyncEnumerator<byte[]> before = Lines(other), after = Lines(id);
        while (await before.MoveNextAsync() && await after.MoveNextAsync())
        {
            CaptionJobResult made = ResultsFile.Parse(after.Current);
            if (made.Captions is not [{ } now, ..]
                || ResultsFile.Parse(before.Current).Captions?
                    .FirstOrDefault(caption => Tokenizer.SameLanguage(caption.Language, now.Language)) is not { } old)
                continue;
            compared++;
            sums = (sums.Old + (old.Confidence ?? double.NaN), sums.New + (now.Confidence ?? double.NaN));
            if (old.Text != now.Text)
            {
                double? change = Rounded(now.Confidence - old.Confidence);
                changes.Add(new CaptionChange(made.Number, made.Name, ComparedCaption.Of(old), ComparedCaption.Of(now), change, Common(old, now)));
            }
        }
        return TypedResults.Ok(
            new CaptionChangesResponse(compared, changes.Count, skip, Rounded(sums.Old / compared), Rounded(sums.New / compared),
            [.. changes.OrderBy(change => change.ConfidenceChange ?? 0).ThenBy(change => change.CommonWords).ThenBy(change => change.Number)
                .Skip(skip).Take(take)]));

        IAsyncEnumerator<byte[]> Lines(string of) =>
            ResultsFile.Lines(Path.Combine(storage.Value.CaptionJobs, of), 0, int.MaxValue, aborted).GetAsyncEnumerator(aborted);
    }

    // Twice what they have in common, over what they have together (Dice).
    private static double Common(RankedCaption old, RankedCaption now)
    {
        var tokenizer = Tokenizer.For(now.Language);
        IReadOnlyList<string> one = tokenizer.Tokenize(old.Text), other = tokenizer.Tokenize(now.Text);
        var left = one.ToList();
        int common = other.Count(left.Remove);
        return Math.Round(2.0 * common / Math.Max(1, one.Count + other.Count), 3);
    }

    private static double? Rounded(double? value) => value is { } number && double.IsFinite(number) ? Math.Round(number, 4) : null;
}

/// <summary>With which model to compare.</summary>
/// <param name="Model">name or name@version.</param>
public sealed record CaptionComparisonRequest(string? Model);

/// <summary>A page of the captions that differ between two jobs.</summary>
/// <param name="Compared">Photos that have captions in both so far.</param>
/// <param name="Changed">Those whose best caption differs.</param>
/// <param name="Offset">How many changes are before this page.</param>
/// <param name="OldConfidence">Mean confidence of the best captions of the job that is compared with; null where its model has
/// none.</param>
/// <param name="NewConfidence">That of this job's.</param>
/// <param name="Changes">The page: the greatest loss of confidence first, of equal ones the fewest common words.</param>
public sealed record CaptionChangesResponse(int Compared, int Changed, int Offset, double? OldConfidence, double? NewConfidence,
    IReadOnlyList<CaptionChange> Changes);

/// <summary>One photo whose best caption differs.</summary>
/// <param name="Number">Its number in the job.</param>
/// <param name="Name">Its name.</param>
/// <param name="Old">The caption of the job that is compared with.</param>
/// <param name="New">The caption of this job.</param>
/// <param name="ConfidenceChange">The new confidence less the old; null where a model has none.</param>
/// <param name="CommonWords">Share of words in common, 0..1 (Dice).</param>
public sealed record CaptionChange(int Number, string Name, ComparedCaption Old, ComparedCaption New, double? ConfidenceChange,
    double CommonWords);

/// <summary>A caption beside another.</summary>
/// <param name="Text">The sentence.</param>
/// <param name="Confidence">How likely it is to be right, 0..1; null where its model has no calibration.</param>
public sealed record ComparedCaption(string Text, double? Confidence)
{
    internal static ComparedCaption Of(RankedCaption caption) => new(caption.Text, caption.Confidence);
}
