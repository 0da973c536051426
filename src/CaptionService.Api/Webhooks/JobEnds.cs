using System.Text.Json;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Webhooks;

/// <summary>
/// Adds the messages that a job has ended to the transaction that ends it: there is no end without its messages, and no message
/// without the end, whatever fails or dies.
/// </summary>
internal sealed class JobEnds(IOptions<WebhooksOptions> options, WebhookSignals signals, TimeProvider time) : SaveChangesInterceptor
{
    public override ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData eventData,
        InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        if (options.Value.Urls.Count > 0 && eventData.Context is CaptionDb db)
        {
            foreach (EntityEntry ended in db.ChangeTracker.Entries().Where(HasEnded).ToArray())
            {
                DateTimeOffset now = time.GetUtcNow();
                string body = JsonSerializer.Serialize(Message(ended.Entity, now), Json.Answers);
                db.WebhookMessages.AddRange(options.Value.Urls.Distinct()
                    .Select(url => new WebhookMessage { Id = $"msg_{Ids.New()}{Ids.New()}", Url = url, Body = body, CreatedAt = now, NextAt = now }));
            }
        }
        return ValueTask.FromResult(result);
    }

    public override ValueTask<int> SavedChangesAsync(SaveChangesCompletedEventData eventData, int result,
        CancellationToken cancellationToken = default)
    {
        if (eventData.Context is CaptionDb db && db.ChangeTracker.Entries<WebhookMessage>().Any())
            signals.Raise();
        return ValueTask.FromResult(result);
    }

    private static bool HasEnded(EntityEntry entry) => entry.State == EntityState.Modified && entry.Entity switch
    {
        TrainingJob job => job.Ended,
        CaptionJob job => job.Ended,
        Evaluation evaluation => evaluation.State is EvaluationState.Succeeded or EvaluationState.Failed,
        _ => false,
    } && entry.Property(nameof(TrainingJob.State)).IsModified;

    // Thin: who wants more asks for it. Never a photo, a caption or a file's name.
    private static JobEnded Message(object ended, DateTimeOffset now) => ended switch
    {
        TrainingJob job => new($"training_job.{job.State.Name()}", now,
            new JobEndedData(job.Id, $"/training-jobs/{job.Id}", job.State.Name(), job.Error)),
        CaptionJob job => new($"caption_job.{job.State.Name()}", now,
            new JobEndedData(job.Id, $"/caption-jobs/{job.Id}", job.State.Name(), job.Error)),
        Evaluation evaluation =>
            new($"evaluation.{evaluation.State.Name()}", now,
                new JobEndedData(evaluation.Id, $"/evaluations/{evaluation.Id}", evaluation.State.Name(), evaluation.Error)),
        _ => throw new NotSupportedException($"{ended.GetType()} does not end."),
    };

    private sealed record JobEnded(string Type, DateTimeOffset Timestamp, JobEndedData Data);

    private sealed record JobEndedData(string Id, string Address, string State, string? Error);
}
