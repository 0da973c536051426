using CaptionService.Api.Trainer;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Raised when jobs change: what runs them and who watches them look again.</summary>
public sealed class TrainingSignals : Signal;
