using CaptionService.Captioning.Metrics;
using CaptionService.Trainer.Evaluate;
using Xunit;

namespace CaptionService.Trainer.Tests.Evaluate;

public sealed class VarietyTests
{
    private static string[] Words(string caption) => caption.Split(' ');

    [Fact]
    public void Captions_that_are_alike_and_captions_that_differ_are_told_apart()
    {
        IReadOnlyList<string>[][] references = [[Words("a dog runs on grass"), Words("a dog on the grass")], [Words("two men sit on a bench")], [Words("a cat sleeps")]];
        var cider = new Cider<string>(references);

        var alike = Variety.Of([[Words("a dog runs"), Words("a dog runs")], [Words("two men sit"), Words("two men sit")], [Words("a cat sleeps"), Words("a cat sleeps")]], references, cider);
        var differ = Variety.Of([[Words("a dog runs"), Words("the grass there")], [Words("two men sit"), Words("some people rest")], [Words("a cat sleeps"), Words("an animal dreams")]], references, cider);

        Assert.Equal((2, 0.5, 0.5), (alike.Count, alike.Words, alike.Pairs));
        Assert.Equal((2, 1, 1), (differ.Count, differ.Words, differ.Pairs));
        Assert.True(alike.PairCider > 5 && differ.PairCider == 0, $"{alike.PairCider} {differ.PairCider}");
        Assert.Equal(alike.BestCider, alike.MeanCider, 1e-9);
        Assert.Equal(alike.BestCider, differ.BestCider, 1e-9);      // the first of each is the same, and the better one
        Assert.True(differ.MeanCider < differ.BestCider);
    }

    [Fact]
    public void One_word_or_one_caption_has_no_pairs()
    {
        IReadOnlyList<string>[][] references = [[Words("dog")], [Words("cat")]];
        var found = Variety.Of([[Words("dog")], [Words("cat")]], references, new Cider<string>(references));
        Assert.Equal((1, 1, 0), (found.Words, found.Pairs, found.PairCider));
    }
}
