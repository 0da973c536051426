using CaptionService.Tests;

namespace CaptionService.Api.Tests;

/// <summary>Doors between the server's folders lead one way. Program wires them together.</summary>
public sealed class ArchitectureTests
{
    [Fact]
    public void A_folder_uses_only_folders_above_it() => Doors.AssertOneWay(typeof(ProblemTable).Assembly,
        (Doors.Root, ""),
        ("Migrations", ""),
        ("Storage", Doors.Root),
        ("Audit", $"{Doors.Root} Storage"),
        ("Keys", $"{Doors.Root} Storage"),
        ("Trainer", $"{Doors.Root} Storage"),
        ("Datasets", $"{Doors.Root} Storage Trainer"),
        ("Models", $"{Doors.Root} Storage Trainer"),
        ("Fetch", Doors.Root),
        ("Captions", $"{Doors.Root} Fetch Models"),
        ("CaptionJobs", $"{Doors.Root} Storage Trainer Datasets Models Captions"),
        ("Compatible", $"{Doors.Root} Models Captions"),
        ("Webhooks", $"{Doors.Root} Storage Trainer Fetch"),
        ("Feedback", $"{Doors.Root} Storage Captions Datasets"),
        ("TrainingJobs", $"{Doors.Root} Storage Trainer Models"));
}
