using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>Learns to predict each word of a human caption from those before it.</summary>
/// <param name="lessons">One for each language.</param>
/// <param name="adam">Updates the weights.</param>
/// <param name="options">How.</param>
/// <param name="teachers">Whose mean expectation is learnt too, if there are any; only with one lesson.</param>
internal sealed class CrossEntropyStage(IReadOnlyList<Lesson> lessons, Adam adam, TrainingOptions options, Teachers teachers) : Stage(lessons, adam, options)
{
    private readonly Dictionary<Lesson, (int Photo, int[][] Captions)[]> _items = lessons.ToDictionary(lesson => lesson, lesson => options.BatchCaptions == 0
        ? lesson.Captions.Select((c, photo) => (photo, c)).ToArray()
        : [.. lesson.Captions.SelectMany((c, photo) => c.Select(caption => (photo, new[] { caption })))]);

    public override string Name => "cross-entropy";
    public override TrainingOptions Options { get; } = options;
    protected override int[] PhotosOfItems(Lesson lesson) => Array.ConvertAll(_items[lesson], item => item.Photo);
    protected override bool LearnsFromModels(int epoch) => 2 * epoch < Options.Epochs;
    protected override int Batch => Options.BatchCaptions == 0 ? Options.BatchPhotos : Options.BatchCaptions;

    protected override (double Loss, double Nll) Learn(Lesson lesson, FeatureSource view, int[] items, long step, long inStage)
    {
        var decoder = lesson.Decoder;
        var all = _items[lesson];
        var rows = Array.ConvertAll(items, i => all[i]);
        var places = lesson.See(view, [.. rows.Select(r => r.Photo)]);
        using var packed = new PackedCaptions([.. rows.Select(r => r.Captions)], TorchRuntime.Device);
        double sampled = Options.ScheduledSampling * inStage / Steps;
        if (sampled > 0)
            ReplaceWithGuesses(decoder, places, packed, sampled);
        var pass = decoder.Forward(places, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (loss, nll, gradient) = Losses.CrossEntropy(logits, packed.Targets, Options.LabelSmoothing, teachers.Expect(places, packed), teachers.Share);
        pass.Backward(logits, gradient);
        return (loss.value(), nll.value());
    }

    /// <summary>
    /// Scheduled sampling in two passes (Mihaylova and Martins 2019): the words read are, with some probability, those the
    /// model would draw itself after the true words before them.
    /// </summary>
    private static void ReplaceWithGuesses(CaptionDecoder decoder, Tensor places, PackedCaptions packed, double probability)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var guesses = decoder.Logits(decoder.Forward(places, packed).Outputs).to(ScalarType.Float32).softmax(-1)
            .nan_to_num(1).multinomial(1).view(-1);          // (M); of no numbers nothing can be drawn, and the loss will tell
        var before = new List<long>();                       // place of the step before; a row's first word stays <start>
        for (int t = 1, start = 0; t < packed.BatchSizes.Length; start += packed.BatchSizes[t++ - 1])
            before.AddRange(Enumerable.Range(start, packed.BatchSizes[t]).Select(i => (long)i));
        var read = packed.Words.narrow(0, packed.Rows, before.Count);
        var drawn = guesses.index_select(0, tensor(before.ToArray(), device: places.device));
        using Scalar often = probability;
        var replaced = where(rand(before.Count, device: places.device).lt(often), drawn, read);
        packed.ReplaceWords(cat([packed.Words.narrow(0, 0, packed.Rows), replaced]));
    }
}
