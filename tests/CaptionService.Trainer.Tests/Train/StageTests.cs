using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Train;
using Xunit;

namespace CaptionService.Trainer.Tests.Train;

/// <summary>What an epoch draws of several sources.</summary>
public sealed class StageTests
{
    // Photos 0..3 are of the first source, 4..6 of the second, 7..9 of the third; each has one caption.
    private static readonly Source[] s_sources = [new("once", 1, false, 0..4, ..), new("half", 0.5, false, 4..7, ..), new("web", 2, true, 7..10, ..)];
    private static readonly TrainingOptions s_options = new() { BatchPhotos = 4, Epochs = 3, Seed = 5 };

    [Fact]
    public void Each_photo_is_drawn_as_often_as_its_source_says_and_model_written_ones_early()
    {
        var stage = Stage();
        Assert.Equal([3, 3, 2], stage.StepsOf);                     // 4 + 2 + 6 photos, then 4 + 2
        Assert.Equal(8, stage.Steps);
        for (int epoch = 0; epoch < 3; epoch++)
        {
            var steps = stage.Epoch(epoch, 0);
            Assert.Equal(stage.StepsOf[epoch], steps.Count);
            int[] times = new int[10];
            foreach (int photo in steps.SelectMany(step => step.Items))
                times[photo]++;
            Assert.All(times[..4], drawn => Assert.Equal(1, drawn));
            Assert.Equal(2, times[4..7].Sum());
            Assert.All(times[4..7], drawn => Assert.InRange(drawn, 0, 1));
            Assert.All(times[7..], drawn => Assert.Equal(epoch < 2 ? 2 : 0, drawn));
        }
    }

    [Fact]
    public void An_epoch_is_a_function_of_its_number_and_the_halves_drawn_differ()
    {
        Assert.Equal(Items(1), Items(1));
        var halves = Enumerable.Range(0, 3).Select(epoch => string.Join(' ', Items(epoch).Where(photo => photo is >= 4 and < 7).Order())).Distinct();
        Assert.True(halves.Count() > 1);

        static int[] Items(int epoch) => [.. Stage().Epoch(epoch, 0).SelectMany(step => step.Items)];
    }

    [Fact]
    public void A_step_knows_its_epoch_though_epochs_differ_in_length()
    {
        var stage = Stage();
        Assert.Equal([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)], Enumerable.Range(0, 9).Select(step => stage.At(step)));
    }

    private static CrossEntropyStage Stage() =>
        new([new Student([.. Enumerable.Range(0, 10).Select(_ => new[] { new[] { 4, 5 } })], null!, null!, s_sources)], null!, s_options, null!);
}
