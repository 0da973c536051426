using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Optimize;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>Learns to predict each word of a human caption from those before it.</summary>
/// <param name="students">One for each language.</param>
/// <param name="adam">Updates the weights.</param>
/// <param name="options">How.</param>
/// <param name="teachers">Whose mean expectation is learnt too, if there are any; only with one language.</param>
internal sealed class CrossEntropyStage(IReadOnlyList<Student> students, Adam adam, TrainingOptions options, Teachers teachers) : Stage(students, adam, options)
{
    private readonly Dictionary<Student, (int Photo, int[][] Captions)[]> _items = students.ToDictionary(student => student, student => options.BatchCaptions == 0
        ? student.Captions.Select((c, photo) => (photo, c)).ToArray()
        : [.. student.Captions.SelectMany((c, photo) => c.Select(caption => (photo, new[] { caption })))]);

    public override string Name => "cross-entropy";
    public override TrainingOptions Options { get; } = options;
    protected override int[] PhotosOfItems(Student student) => Array.ConvertAll(_items[student], item => item.Photo);
    protected override bool LearnsFromModels(int epoch) => 2 * epoch < Options.Epochs;
    protected override int Batch => Options.BatchCaptions == 0 ? Options.BatchPhotos : Options.BatchCaptions;

    protected override (double Loss, double Nll) Learn(Student student, FeatureSource source, int[] items, long step, long inStage)
    {
        var decoder = student.Decoder;
        var all = _items[student];
        var rows = Array.ConvertAll(items, i => all[i]);
        var features = student.Encode(source, [.. rows.Select(r => r.Photo)]);
        using var packed = new PackedCaptions([.. rows.Select(r => r.Captions)], TorchRuntime.Device);
        double sampled = Options.ScheduledSampling * inStage / Steps;
        if (sampled > 0)
            ReplaceWithGuesses(decoder, features, packed, sampled);
        var pass = decoder.Forward(features, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (loss, nll, gradient) = Losses.CrossEntropy(logits, packed.Targets, Options.LabelSmoothing, teachers.Expect(features, packed), teachers.Share);
        pass.Backward(logits, gradient);
        return (loss.value(), nll.value());
    }

    /// <summary>
    /// Scheduled sampling in two passes (Mihaylova and Martins 2019): the words read are, with some probability, those the
    /// model would draw itself after the true words before them.
    /// </summary>
    private static void ReplaceWithGuesses(CaptionDecoder decoder, Tensor features, PackedCaptions packed, double probability)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var guesses = decoder.Logits(decoder.Forward(features, packed).Outputs).to(ScalarType.Float32).softmax(-1)
            .nan_to_num(1).multinomial(1).view(-1);          // (M); of no numbers nothing can be drawn, and the loss will tell
        var before = new List<long>();                       // position of the step before; a row's first word stays <start>
        for (int t = 1, start = 0; t < packed.BatchSizes.Length; start += packed.BatchSizes[t++ - 1])
            before.AddRange(Enumerable.Range(start, packed.BatchSizes[t]).Select(i => (long)i));
        var read = packed.Words.narrow(0, packed.Rows, before.Count);
        var drawn = guesses.index_select(0, tensor(before.ToArray(), device: features.device));
        using Scalar often = probability;
        var replaced = where(rand(before.Count, device: features.device).lt(often), drawn, read);
        packed.ReplaceWords(cat([packed.Words.narrow(0, 0, packed.Rows), replaced]));
    }
}
