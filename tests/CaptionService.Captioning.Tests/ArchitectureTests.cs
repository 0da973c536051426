using CaptionService.Tests;

namespace CaptionService.Captioning.Tests;

/// <summary>Doors between the room's folders lead one way, as compiled (constants leave no trace there).</summary>
public sealed class ArchitectureTests
{
    [Fact]
    public void A_folder_uses_only_folders_above_it() => Doors.AssertOneWay(typeof(Captioner).Assembly,
        ("Torch", ""),
        ("Files", ""),
        ("Language", ""),
        ("Metrics", ""),
        ("Encoders", "Files Torch"),
        ("Decoders", "Files Torch"),
        ("Search", "Language Torch"),
        ("Ranking", "Decoders Files Language Metrics Search Torch"),
        ("Confidence", "Decoders Files Ranking Search"),
        ("Models", "Confidence Decoders Encoders Files Language Ranking Torch"),
        ("Jobs", "Models Search"),
        (Doors.Root, "Confidence Decoders Encoders Files Language Models Ranking Search Torch"));
}
