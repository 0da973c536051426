using CaptionService.Tests;

namespace CaptionService.Trainer.Tests;

/// <summary>Doors between the trainer's folders lead one way.</summary>
public sealed class ArchitectureTests
{
    [Fact]
    public void A_folder_uses_only_folders_above_it() => Doors.AssertOneWay(typeof(Program).Assembly,
        ("Job", ""),
        ("Optimize", ""),
        ("Features", "Job"),
        ("Inspect", "Job Optimize Features"),
        ("Evaluate", "Job Features"),
        ("Calibrate", "Job Optimize Features"),
        ("Quantize", "Job Features"),
        ("Train", "Job Optimize Features Evaluate Calibrate"),
        (Doors.Root, "Job Inspect Evaluate Calibrate Quantize Train"));
}
