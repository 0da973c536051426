using CaptionService.Captioning.Confidence;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning;

/// <summary>
/// One loaded model: features in, ranked captions out. Synchronous, and for one thread at a time: the service's worker owns it.
/// </summary>
public sealed class CaptionModel : IDisposable
{
    private readonly SharedEncoders.Share<Vgg16> _share;
    private readonly SharedEncoders.Share<Conv5>? _adapted;         // its last block; null: the encoder's own
    private readonly Vgg16 _encoder;
    private readonly FrozenDecoder _decoder;
    private readonly Vocabulary _vocabulary;
    private readonly Tokenizer _tokenizer;
    private readonly RankedSearch _search;
    private readonly ExpectedCider? _expected;
    private readonly Calibration? _calibration;
    private readonly WordChoice _words;
    private readonly Device _device;

    /// <summary>What the model says of itself.</summary>
    public ModelCard Card { get; }

    /// <summary>How the encoder runs here.</summary>
    public EncoderPrecision Precision => _encoder.Precision;

    /// <summary>The encoder: the same object for models that share one, though each may have a last block of its own.</summary>
    public Vgg16 Encoder => _encoder;

    /// <summary>The last block of the encoder as the model has it.</summary>
    internal Conv5 Conv5 => _adapted?.Value ?? _encoder.Conv5;

    private CaptionModel(ModelBundle bundle, FrozenDecoder decoder, ExpectedCider? expected, SharedEncoders.Share<Vgg16> share, SharedEncoders.Share<Conv5>? adapted, Device device)
    {
        (Card, _vocabulary, _calibration, _decoder, _expected, _share, _encoder, _adapted, _device) = (bundle.Card, bundle.Vocabulary, bundle.Calibration, decoder, expected, share, share.Value, adapted, device);
        _tokenizer = Tokenizer.For(Card.Language);
        _search = RankedSearch.For(_tokenizer, _vocabulary);
        _words = new WordChoice(Card.Language, _tokenizer, _vocabulary);
    }

    /// <summary>Loads a model with its encoder, on the GPU where there is one.</summary>
    /// <param name="modelFolder">A model bundle.</param>
    /// <param name="encoderPath">Encoder weights; null: the bundle's own or the product's.</param>
    /// <param name="precision">null: as <paramref name="encoders"/> choose, and the decoder as is fastest here; float32: both are the
    /// reference.</param>
    /// <param name="encoders">Encoders that other models may have loaded already; null: one of its own.</param>
    /// <exception cref="ModelBundleException">The bundle cannot be used, or was made for other encoder weights.</exception>
    public static CaptionModel Load(string modelFolder, string? encoderPath = null, EncoderPrecision? precision = null, SharedEncoders? encoders = null)
    {
        using var noGrad = no_grad();
        using var bundle = ModelBundle.Load(modelFolder);
        encoderPath ??= bundle.EncoderPath ?? DefaultModels.EncoderPath;
        if (!File.Exists(encoderPath))
            throw new ModelBundleException($"The encoder weights '{encoderPath}' are missing.");
        encoders ??= new SharedEncoders();
        string digest = encoders.Sha256Of(encoderPath);
        if (bundle.Card.EncoderSha256 is { } expected && !string.Equals(expected, digest, StringComparison.OrdinalIgnoreCase))
            throw new ModelBundleException($"'{bundle.Card.Name}' was trained on encoder weights with SHA-256 {expected}; these are {digest}.");

        var decoder = bundle.Card.Decoder;
        int expectedSize = decoder.SingleVector ? Vgg16.Fc7Size : Vgg16.Channels;
        if (decoder.FeatureSize != expectedSize)
            throw new ModelBundleException($"'{bundle.Card.Name}' works from features of {decoder.FeatureSize} values; the encoder gives {expectedSize}.");

        var device = TorchRuntime.Device;
        SharedEncoders.Share<Vgg16> share;
        try
        {
            share = encoders.Take(encoderPath, digest, device, precision);
        }
        catch (SafetensorsException e)
        {
            throw new ModelBundleException($"The encoder weights cannot be loaded: {e.Message}", e);
        }
        SharedEncoders.Share<Conv5>? adapted = null;
        ExpectedCider? expectedCider = null;
        try
        {
            if (decoder.SingleVector && !share.Value.HasFc7)
                throw new ModelBundleException($"'{bundle.Card.Name}' works from fc7: supply torchvision's full VGG-16 weights as encoder.");
            if (bundle.AdapterPath is { } path)
                adapted = encoders.TakeBlock(encoderPath, digest, path, device, share.Value);
            expectedCider = bundle.LoadExpectedCider(device);
            bundle.Decoder.to(device);
            var frozen = precision == EncoderPrecision.Float32 ? bundle.Decoder.Freeze(ScalarType.Float32) : bundle.Decoder.FreezeForService(share.Value.Precision.Type);
            return new CaptionModel(bundle, frozen, expectedCider, share, adapted, device);
        }
        catch (Exception e)
        {
            adapted?.Dispose();
            expectedCider?.Dispose();
            share.Dispose();
            if (e is SafetensorsException)
                throw new ModelBundleException($"{BundleFiles.Adapter} of '{bundle.Card.Name}' cannot be loaded: {e.Message}", e);
            throw;
        }
    }

    /// <summary>
    /// Runs the network once, so that the first photo is no slower than the next, and checks that captions come out.
    /// An encoder that other models use already is left to them: this may run on another thread than <see cref="Captioner.Caption"/>.
    /// </summary>
    /// <exception cref="ModelBundleException">The weights give no captions.</exception>
    public void WarmUp()
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        try
        {
            if (_share.IsFirstUse())
            {
                var regions = _encoder.Forward(zeros(1, Photo.Side, Photo.Side, 3, ScalarType.Byte));
                if (Card.Decoder.SingleVector)
                    _encoder.Fc7(regions);
            }
            if (_adapted?.IsFirstUse() == true)
                _adapted.Value.Forward(zeros(1, Vgg16.Regions, Vgg16.Channels));
            var decoder = Card.Decoder;
            var captions = Describe(decoder.SingleVector ? zeros(1, decoder.FeatureSize, device: _device) : zeros(1, Vgg16.Regions, Vgg16.Channels, Precision.Type, _device), new CaptionOptions());
            if (captions is not [{ Length: > 0 } ranked] || !ranked.All(caption => double.IsFinite(caption.LogProbability)))
                throw new ModelBundleException($"'{Card.Name}' gives captions no probability: its weights are not all numbers.");
        }
        catch (Exception e) when (e is not ModelBundleException)
        {
            throw new ModelBundleException($"'{Card.Name}' was loaded but gives no captions: {e.Message.Split('\n')[0]}", e);
        }
    }

    /// <summary>Captions photos that the encoder has been through.</summary>
    /// <param name="features">(N, 196, 512) or (N, 4096), what the decoder works from; the caller's.</param>
    /// <param name="options">How; one for all.</param>
    /// <param name="between">Called before each word; null: nothing.</param>
    /// <returns>The captions of each photo, best first.</returns>
    internal Caption[][] Describe(Tensor features, CaptionOptions options, Action? between = null)
    {
        using var means = ChannelMeans.Of(features);                                        // (N, F)
        using var state = _decoder.Start(features);
        var attention = options.Attention && Card.Decoder.Attends ? new AttentionSteps(state) : null;
        DecodeStep step = attention is null ? state.Step : attention.Step;
        var found = SearchFor(options).Run((int)features.shape[0], _words.Step(between is null ? step : Stepped, options, _device), _device, _expected?.Expect(means));
        double[][]? photos = _calibration is null ? null : Familiarity.LogMeans(means);
        return [.. found.Select((hypotheses, photo) =>
        {
            double[]? confidences = _calibration?.Confidences(hypotheses, _calibration.Familiarity.Factor(photos![photo]));
            IEnumerable<int> ranks = Enumerable.Range(0, hypotheses.Count);
            if (options.SurestFirst && confidences is not null)
                ranks = ranks.OrderByDescending(rank => hypotheses[rank].Ended).ThenByDescending(rank => confidences[rank]);
            return ranks.Take(options.Count).Select(rank => Write(hypotheses[rank], confidences?[rank], options.Sentence, attention)).ToArray();
        })];

        Tensor Stepped(Tensor words, Tensor? remaining, Tensor? parents)
        {
            between();
            return step(words, remaining, parents);
        }
    }

    // The one place that says how many are searched for. A confidence depends on what else was found, so that with a calibration
    // all of the width are, however many captions were asked for; the first are the same.
    private RankedSearch SearchFor(CaptionOptions options)
    {
        int width = Math.Max(options.BeamWidth, options.Count);
        return (_search with
        {
            Beams = _search.Beams with
            {
                Width = width,
                Count = _calibration is null ? options.Count : width,
                MaxLength = options.MaxLength,
                MinLength = options.MinLength,
                LengthNormalization = options.LengthNormalization,
                Wording = _words.Wording(options),
                Characters = _words.Limit(options),
                LeastEnd = options.MaxCharacters is null ? double.NegativeInfinity : WordChoice.LeastEnd,
            },
        }).Diverse(options.Diversity);
    }

    private Caption Write(Hypothesis hypothesis, double? confidence, bool sentence, AttentionSteps? attention)
    {
        string[] words = Array.ConvertAll(hypothesis.Words, _words.Shown);
        return new Caption(_tokenizer.Detokenize(words, sentence), hypothesis.LogProbability,
        [
            .. words.Select((word, t) => new CaptionWord(word, Math.Exp(hypothesis.WordLogProbabilities[t]),
                attention?.Map(t, hypothesis.Rows[t]))),
        ], confidence, hypothesis.Ended);
    }

    /// <summary>A decoder's steps, with the attention of each kept.</summary>
    private sealed class AttentionSteps(DecoderState state)
    {
        private readonly List<float[]> _steps = [];     // (n·b, 196) flat

        public Tensor Step(Tensor words, Tensor? photos, Tensor? parents)
        {
            var logP = state.Step(words, photos, parents);
            _steps.Add(state.Attention!.cpu().data<float>().ToArray());
            return logP;
        }

        /// <summary>The map of a row of a step, by region.</summary>
        public float[] Map(int step, int row) => _steps[step].AsSpan(row * Vgg16.Regions, Vgg16.Regions).ToArray();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _adapted?.Dispose();
        _expected?.Dispose();
        _share.Dispose();
        _decoder.Dispose();
    }
}
