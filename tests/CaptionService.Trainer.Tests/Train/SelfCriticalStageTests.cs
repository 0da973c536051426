using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using CaptionService.Trainer.Train;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

public sealed class SelfCriticalStageTests(ITestOutputHelper output)
{
    // Two captions of each of four photos; nothing but the reward tells which words belong to which photo.
    private static readonly int[][][] s_captions =
    [
        [[4, 5, 6, 7], [4, 5, 8, 7]], [[9, 10, 11, 12], [9, 10, 11, 13]], [[14, 15, 16], [14, 15, 17, 16]], [[18, 19, 20, 21], [18, 22, 20, 21]],
    ];

    [Fact]
    public void The_reward_of_captions_drawn_rises_without_a_human_one()
    {
        TorchRuntime.Configure(threads: 1);
        var options = new TrainingOptions
        {
            BatchPhotos = 4, SelfCriticalEpochs = 400, SelfCriticalLearningRate = 1e-2, Samples = 8, SampleTop = 19, CrossEntropyWeight = 0, MaxCaptionWords = 6, WeightAverage = 0, Seed = 3,
        };
        using var features = new Given();
        manual_seed(3);
        using var decoder = CaptionDecoder.Create(new DecoderOptions { VocabularySize = 23, Embedding = 16, Hidden = 32, Heads = 4, FeatureSize = 8 });
        using var adam = new Adam(decoder.named_parameters(), 0.9, 0.98, 0);
        var student = new Student(s_captions, decoder, new Augmentations(features), [new Source("all", 1, ModelWritten: false, .., ..)]);
        var stage = new SelfCriticalStage(student, adam, options);
        double[] rewards = [.. Enumerable.Range(0, 400).Select(step => -stage.Step(student, [0, 1, 2, 3], step, step).Loss)];
        output.WriteLine($"{rewards[..20].Average():F2} to {rewards[^20..].Average():F2}");
        Assert.InRange(rewards[..20].Average(), 0, 1);
        Assert.True(rewards[^20..].Average() > 1.5 * rewards[..20].Average());
    }

    private sealed class Given : FeatureSource
    {
        private readonly Tensor _features;

        public Given()
        {
            using var scope = NewDisposeScope();
            manual_seed(1);
            _features = randn(4, 1, 8).times(3).expand(4, 196, 8).contiguous().DetachFromDisposeScope();
        }

        public override int Size => 8;
        public override bool SingleVector => false;
        public override Tensor Rows(IReadOnlyList<int> rows) => _features.index_select(0, tensor(rows.Select(r => (long)r).ToArray()));
        public override void Dispose() => _features.Dispose();
    }
}
