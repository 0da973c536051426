using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Optimize;

namespace CaptionService.Trainer.Train;

/// <summary>
/// Self-critical training (Rennie et al. 2017): captions the model draws itself become more probable the more their
/// CIDEr-D exceeds that of the others drawn for the photo (Luo 2020, arXiv:2003.09971). The end is a word like any other,
/// so that breaking off is not rewarded; one human caption a photo keeps the language natural. Dropout is at work in drawing
/// and in learning: without it the model learns the captions of the training photos by heart.
/// </summary>
internal sealed class SelfCriticalStage(Student student, Adam adam, TrainingOptions options) : Stage([student], adam, options)
{
    private readonly int[][][] _references = [.. student.Captions.Select(photo => photo.Select(WithEnd).ToArray())];
    private readonly Cider<int> _cider = new(student.Captions.Select(photo => photo.Select(WithEnd).ToArray()));

    public override string Name => "self-critical";
    public override TrainingOptions Options { get; } = options with { Epochs = options.SelfCriticalEpochs, LearningRate = options.SelfCriticalLearningRate, WarmupSteps = 0, Schedule = "cosine" };
    protected override int[] PhotosOfItems(Student student) => [.. Enumerable.Range(0, student.Captions.Length)];
    protected override bool LearnsFromModels(int epoch) => false;
    protected override int Batch => Options.BatchPhotos;

    /// <returns>The loss: the mean reward, negative.</returns>
    protected override (double Loss, double Nll) Learn(Student student, FeatureSource source, int[] photos, long step)
    {
        var (captions, decoder, _, _, _) = student;
        int samples = Options.Samples;
        var features = student.Encode(source, photos);
        SampledCaption[][] drawn;
        using (var frozen = decoder.FreezeForSampling(decoder.ComputeType))
            drawn = Sampler.Draw(frozen, features, samples, Options.SampleTop, Options.MaxCaptionWords);

        var rewards = new double[photos.Length][];
        Parallel.For(0, photos.Length, i =>
            rewards[i] = [.. drawn[i].Select(c => _cider.Score(c.Ended ? WithEnd(c.Words) : c.Words, _references[photos[i]]))]);

        // One packed batch: the captions drawn, then the human one, as slots of their photo.
        var random = new Random(unchecked((int)(Options.Seed * 1_000_003L + step)));
        int[][] human = [.. photos.Select(p => captions[p][random.Next(captions[p].Length)])];
        using var packed = new PackedCaptions([.. photos.Select((_, i) => (IReadOnlyList<int[]>)[.. drawn[i].Select(c => c.Words), human[i]])], TorchRuntime.Device);
        long[] slots = packed.Slots.cpu().data<long>().ToArray(), rowOf = packed.RowOfPosition.cpu().data<long>().ToArray(), targets = packed.Targets.cpu().data<long>().ToArray();
        var weights = new float[targets.Length];
        var truth = new float[targets.Length];
        double drawnWords = drawn.Sum(photo => photo.Sum(c => c.Words.Length + (c.Ended ? 1 : 0))), humanWords = human.Sum(c => c.Length + 1);
        for (int m = 0; m < targets.Length; m++)
        {
            int photo = (int)(slots[rowOf[m]] / packed.SlotsPerPhoto), slot = (int)(slots[rowOf[m]] % packed.SlotsPerPhoto);
            if (slot == samples)
            {
                weights[m] = (float)(Options.CrossEntropyWeight / humanWords);
                truth[m] = (float)(1 / humanWords);
            }
            else if (targets[m] != Vocabulary.End || drawn[photo][slot].Ended)      // an end that was not drawn is not learnt from
            {
                double reward = rewards[photo][slot], others = (rewards[photo].Sum() - reward) / (samples - 1);
                weights[m] = (float)((reward - others) / drawnWords);
            }
        }
        var pass = decoder.Forward(features, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (nll, gradient) = Losses.Weighted(logits, packed.Targets, weights, truth);
        pass.Backward(logits, gradient);
        double likelihood = nll.value();
        return (double.IsFinite(likelihood) ? -rewards.Average(r => r.Average()) : double.NaN, likelihood);
    }

    private static int[] WithEnd(int[] words) => [.. words, Vocabulary.End];
}
