namespace CaptionService.Trainer.Job;

/// <summary>Training that cannot lead anywhere any more; the message says why and what to change.</summary>
public sealed class CollapsedException(string message) : Exception(message);
