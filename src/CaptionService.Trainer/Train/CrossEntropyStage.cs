using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Optimize;

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

    protected override (double Loss, double Nll) Learn(Student student, FeatureSource source, int[] items, long step)
    {
        var decoder = student.Decoder;
        var all = _items[student];
        var rows = Array.ConvertAll(items, i => all[i]);
        var features = student.Encode(source, [.. rows.Select(r => r.Photo)]);
        using var packed = new PackedCaptions([.. rows.Select(r => r.Captions)], TorchRuntime.Device);
        var pass = decoder.Forward(features, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (loss, nll, gradient) = Losses.CrossEntropy(logits, packed.Targets, Options.LabelSmoothing, teachers.Expect(features, packed), teachers.Share);
        pass.Backward(logits, gradient);
        return (loss.value(), nll.value());
    }
}
