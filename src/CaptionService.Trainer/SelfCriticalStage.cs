using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Torch;

namespace CaptionService.Trainer;

/// <summary>
/// Self-critical training (Rennie et al. 2017): captions the model draws itself become more probable the more their
/// CIDEr-D exceeds that of the others drawn for the photo (Luo 2020, arXiv:2003.09971). The end is a word like any other,
/// so that breaking off is not rewarded; one human caption a photo keeps the language natural. Dropout is at work in drawing
/// and in learning: without it the model learns the captions of the training photos by heart.
/// </summary>
internal sealed class SelfCriticalStage(Lesson lesson, Adam adam, TrainingOptions options) : Stage([lesson], adam, options)
{
    private readonly int[][][] _references = [.. lesson.Captions.Select(photo => photo.Select(WithEnd).ToArray())];
    private readonly Cider<int> _cider = new(lesson.Captions.Select(photo => photo.Select(WithEnd).ToArray()));

    public override string Name => "self-critical";
    public override TrainingOptions Options { get; } = options with { Epochs = options.SelfCriticalEpochs, LearningRate = options.SelfCriticalLearningRate, WarmupSteps = 0, Schedule = "cosine" };
    protected override int[] PhotosOfItems(Lesson lesson) => [.. Enumerable.Range(0, lesson.Captions.Length)];
    protected override bool LearnsFromModels(int epoch) => false;
    protected override int Batch => Options.BatchPhotos;

    /// <returns>The loss: the mean reward, negative.</returns>
    protected override (double Loss, double Nll) Learn(Lesson lesson, FeatureSource view, int[] photos, long step, long inStage)
    {
        var (captions, decoder, _, _, _) = lesson;
        int samples = Options.Samples;
        var places = lesson.See(view, photos);
        SampledCaption[][] drawn;
        using (var frozen = decoder.FreezeForSampling(decoder.ComputeType))
            drawn = Sampler.Draw(frozen, places, samples, Options.SampleTop, Options.MaxCaptionWords);

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
        double drawnPlaces = drawn.Sum(photo => photo.Sum(c => c.Words.Length + (c.Ended ? 1 : 0))), humanPlaces = human.Sum(c => c.Length + 1);
        for (int m = 0; m < targets.Length; m++)
        {
            int photo = (int)(slots[rowOf[m]] / packed.SlotsPerPhoto), slot = (int)(slots[rowOf[m]] % packed.SlotsPerPhoto);
            if (slot == samples)
            {
                weights[m] = (float)(Options.Anchor / humanPlaces);
                truth[m] = (float)(1 / humanPlaces);
            }
            else if (targets[m] != Vocabulary.End || drawn[photo][slot].Ended)      // an end that was not drawn is not learnt from
            {
                double reward = rewards[photo][slot], others = (rewards[photo].Sum() - reward) / (samples - 1);
                weights[m] = (float)((reward - others) / drawnPlaces);
            }
        }
        var pass = decoder.Forward(places, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (nll, gradient) = Losses.Weighted(logits, packed.Targets, weights, truth);
        pass.Backward(logits, gradient);
        double likelihood = nll.value();
        return (double.IsFinite(likelihood) ? -rewards.Average(r => r.Average()) : double.NaN, likelihood);
    }

    private static int[] WithEnd(int[] words) => [.. words, Vocabulary.End];
}
