using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>Distillation (Hinton et al. 2015): models whose predictions a run learns beside the human captions. Several know more together than each alone.</summary>
internal sealed class Teachers : IDisposable
{
    private readonly List<ModelBundle> _bundles = [];
    private readonly CaptionDecoder _student;

    /// <summary>Their share in the target, 0..1.</summary>
    public double Share { get; }

    /// <summary>name@version of each.</summary>
    public IEnumerable<string> Names => _bundles.Select(b => $"{b.Card.Name}@{b.Card.Version}");

    /// <summary>Loads them.</summary>
    /// <param name="folder">The job's folder.</param>
    /// <param name="distillation">Which they are; null: none.</param>
    /// <param name="student">The model that learns.</param>
    /// <param name="encoding">What encodes its photos.</param>
    /// <exception cref="DatasetException">One has other words, or works from other features.</exception>
    /// <exception cref="ModelBundleException">One cannot be loaded.</exception>
    public Teachers(string folder, Distillation? distillation, LanguageTask student, PhotoEncoding encoding)
    {
        _student = student.Decoder;
        try
        {
            foreach (string model in distillation?.Models ?? [])
            {
                var bundle = ModelBundle.Load(Path.Combine(folder, model));
                _bundles.Add(bundle);
                var (theirs, own) = (bundle.Decoder.Options, student.Decoder.Options);
                if (!Words(bundle.Vocabulary).SequenceEqual(Words(student.Vocabulary)) || (theirs.FeatureSize, theirs.SingleVector) != (own.FeatureSize, own.SingleVector))
                    throw new DatasetException($"The teacher '{bundle.Card.Name}' has other words or works from other features than the model to be made.");
                if (!theirs.SingleVector && PhotoEncoding.Of(bundle).Digest != encoding.Digest)
                    throw new DatasetException($"The teacher '{bundle.Card.Name}' sees with another encoder than the model to be made{(encoding.Pool4 ? ": encoderRank must be 0" : "")}.");
                bundle.Decoder.to(TorchRuntime.Device);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
        Share = distillation?.Share ?? 0;

        static IEnumerable<string> Words(Vocabulary vocabulary) => Enumerable.Range(0, vocabulary.Count).Select(vocabulary.Display);
    }

    /// <summary>Their mean prediction at every position of the captions.</summary>
    /// <param name="features">The photos'.</param>
    /// <param name="packed">The captions.</param>
    /// <returns>(M, V) float32 probabilities, the mean over the teachers; null without any.</returns>
    public Tensor? Expect(Tensor features, PackedCaptions packed)
    {
        if (_bundles.Count == 0)
            return null;
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using Scalar mean = 1.0 / _bundles.Count;
        foreach (var bundle in _bundles)
            bundle.Decoder.ComputeType = _student.ComputeType;
        return _bundles.Select(b => b.Decoder).Select(t => t.Logits(t.Forward(features, packed).Outputs).to(ScalarType.Float32).softmax(-1))
            .Aggregate((sum, p) => sum.plus_(p)).mul_(mean).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var bundle in _bundles)
            bundle.Dispose();
    }
}
