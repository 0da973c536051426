using System.Diagnostics;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning;

/// <summary>How one photo is to be captioned.</summary>
public sealed record CaptionOptions
{
    /// <summary>Captions returned, best first: 1 to <see cref="MaxBeamWidth"/>, at most <see cref="BeamWidth"/>.</summary>
    public int Count { get; init; } = 3;

    /// <summary>Hypotheses kept at each step of the search: 1 (greedy) to <see cref="MaxBeamWidth"/>.</summary>
    public int BeamWidth { get; init; } = DefaultBeamWidth;

    /// <summary>Longest caption, in words, the end not counted: 1 to <see cref="MaxMaxLength"/>.</summary>
    public int MaxLength { get; init; } = 20;

    /// <summary>Exponent a of the length normalisation, log p / length^a: 0 (none) to 2.</summary>
    public double LengthNormalization { get; init; } = DefaultLengthNormalization;

    /// <summary>Whether each caption carries its words' attention maps.</summary>
    public bool Attention { get; init; }

    /// <summary>Default of <see cref="BeamWidth"/>, chosen on the development split.</summary>
    public const int DefaultBeamWidth = 5;

    /// <summary>Default of <see cref="LengthNormalization"/>, chosen on the development split.</summary>
    public const double DefaultLengthNormalization = 0.7;

    /// <summary>Largest <see cref="BeamWidth"/> and <see cref="Count"/>.</summary>
    public const int MaxBeamWidth = 16;

    /// <summary>Largest <see cref="MaxLength"/>.</summary>
    public const int MaxMaxLength = 50;
}

/// <summary>One caption of a photo.</summary>
/// <param name="Text">As a person writes it: capital first, full stop.</param>
/// <param name="LogProbability">Natural logarithm of the caption's probability under the model, the end token included; not normalised by length.</param>
/// <param name="Words">The words in order, as the model emitted them.</param>
/// <param name="Confidence">What <see cref="Calibration.Meaning"/> says, 0..1; null when the model has no calibration.</param>
public sealed record Caption(string Text, double LogProbability, IReadOnlyList<CaptionWord> Words, double? Confidence = null);

/// <summary>One word of a caption.</summary>
/// <param name="Text">The word.</param>
/// <param name="Probability">Its probability given the photo and the words before it, 0..1.</param>
/// <param name="Attention">Where the decoder looked: 14×14 weights by row, summing to 1; null when not asked for or when the decoder does not attend.</param>
public sealed record CaptionWord(string Text, double Probability, float[]? Attention);

/// <summary>The captions of a batch and what they cost.</summary>
/// <param name="Photos">One ranked list for each photo, in the order of the photos.</param>
/// <param name="Encode">Time in the encoder, for the whole batch.</param>
/// <param name="Decode">Time in the decoder and search, for the whole batch.</param>
public sealed record CaptionedBatch(IReadOnlyList<IReadOnlyList<Caption>> Photos, TimeSpan Encode, TimeSpan Decode);

/// <summary>
/// A loaded model: photos in, ranked captions out. Synchronous, and for one thread at a time: the service's worker owns it.
/// </summary>
public sealed class Captioner : IDisposable
{
    private readonly SharedEncoders.Share _share;
    private readonly Vgg16 _encoder;
    private readonly FrozenDecoder _decoder;
    private readonly Vocabulary _vocabulary;
    private readonly Tokenizer _tokenizer;
    private readonly Calibration? _calibration;
    private readonly Device _device;

    /// <summary>What the model says of itself.</summary>
    public ModelCard Model { get; }

    /// <summary>How the encoder runs here.</summary>
    public EncoderPrecision Precision => _encoder.Precision;

    /// <summary>Folder of the model that comes with the product.</summary>
    public static string DefaultModelFolder { get; } = Path.Combine(AppContext.BaseDirectory, "DefaultModels", "flickr8k-en");

    /// <summary>The encoder weights that come with the product.</summary>
    public static string DefaultEncoderPath { get; } = Path.Combine(AppContext.BaseDirectory, "DefaultModels", "vgg16", "encoder.safetensors");

    private Captioner(ModelBundle bundle, FrozenDecoder decoder, SharedEncoders.Share share, Device device)
    {
        (Model, _vocabulary, _calibration, _decoder, _share, _encoder, _device) = (bundle.Card, bundle.Vocabulary, bundle.Calibration, decoder, share, share.Encoder, device);
        _tokenizer = Tokenizer.For(Model.Language);
    }

    /// <summary>Loads a model with its encoder, on the GPU where there is one.</summary>
    /// <param name="modelFolder">A model bundle.</param>
    /// <param name="encoderPath">Encoder weights; null: the bundle's own or the product's.</param>
    /// <param name="precision">null: the fastest here, by measurement. The decoder's products take the same number format:
    /// in float32 a step of one photo reads its weights from memory, in bfloat16 they stay in the cache (four times faster).</param>
    /// <param name="encoders">Encoders that other models may have loaded already; null: one of its own.</param>
    /// <exception cref="ModelBundleException">The bundle cannot be used, or was made for other encoder weights.</exception>
    public static Captioner Load(string modelFolder, string? encoderPath = null, EncoderPrecision? precision = null, SharedEncoders? encoders = null)
    {
        using var noGrad = no_grad();
        using var bundle = ModelBundle.Load(modelFolder);
        encoderPath ??= bundle.EncoderPath ?? DefaultEncoderPath;
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
        SharedEncoders.Share share;
        try
        {
            share = encoders.Take(encoderPath, digest, device, precision);
        }
        catch (SafetensorsException e)
        {
            throw new ModelBundleException($"The encoder weights cannot be loaded: {e.Message}", e);
        }
        try
        {
            if (decoder.SingleVector && !share.Encoder.HasFc7)
                throw new ModelBundleException($"'{bundle.Card.Name}' works from fc7: supply torchvision's full VGG-16 weights as encoder.");
            bundle.Decoder.to(device);
            return new Captioner(bundle, bundle.Decoder.Freeze(share.Encoder.Precision.Type), share, device);
        }
        catch
        {
            share.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Runs the network once, so that the first photo is no slower than the next, and sees that captions come out.
    /// An encoder that other models use already is left to them: this may run on another thread than <see cref="Caption"/>.
    /// </summary>
    /// <exception cref="ModelBundleException">The weights give no captions.</exception>
    public void WarmUp()
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        try
        {
            if (_share.IsFirstUse())
                Features(zeros(1, Photo.Side, Photo.Side, 3, ScalarType.Byte));
            var decoder = Model.Decoder;
            var captions = Describe(decoder.SingleVector ? zeros(1, decoder.FeatureSize, device: _device) : zeros(1, Vgg16.Places, Vgg16.Channels, Precision.Type, _device), new CaptionOptions());
            if (captions is not [{ Length: > 0 } ranked] || !ranked.All(caption => double.IsFinite(caption.LogProbability)))
                throw new ModelBundleException($"'{Model.Name}' gives captions no probability: its weights are not all numbers.");
        }
        catch (Exception e) when (e is not ModelBundleException)
        {
            throw new ModelBundleException($"'{Model.Name}' was loaded but gives no captions: {e.Message.Split('\n')[0]}", e);
        }
    }

    /// <summary>Captions a batch: one encoder pass for all, one search for those with equal options.</summary>
    /// <param name="photos">1 or more.</param>
    /// <param name="options">One for each photo.</param>
    /// <returns>As many lists as photos, in their order.</returns>
    /// <exception cref="ArgumentException">Not one option a photo.</exception>
    public CaptionedBatch Caption(IReadOnlyList<Photo> photos, IReadOnlyList<CaptionOptions> options)
    {
        if (photos.Count != options.Count)
            throw new ArgumentException($"{photos.Count} photos but {options.Count} options.", nameof(options));
        if (photos.Count == 0)
            return new CaptionedBatch([], TimeSpan.Zero, TimeSpan.Zero);
        using var scope = NewDisposeScope();
        using var inference = inference_mode();

        long start = Stopwatch.GetTimestamp();
        var features = Features(Vgg16.Pixels(photos));
        if (_device.type == DeviceType.CUDA)
            cuda.synchronize();
        var encode = Stopwatch.GetElapsedTime(start);

        start = Stopwatch.GetTimestamp();
        var results = new IReadOnlyList<Caption>[photos.Count];
        foreach (var group in Enumerable.Range(0, photos.Count).GroupBy(i => options[i]))
        {
            int[] members = [.. group];
            using var some = members.Length == photos.Count ? features.alias() : features.index_select(0, tensor(members, ScalarType.Int64, _device));
            var captions = Describe(some, group.Key);
            for (int i = 0; i < members.Length; i++)
                results[members[i]] = captions[i];
        }
        return new CaptionedBatch(results, encode, Stopwatch.GetElapsedTime(start));
    }

    private Tensor Features(Tensor pixels)
    {
        var places = _encoder.Forward(pixels);                                             // (N, 196, 512)
        return Model.Decoder.SingleVector ? _encoder.Fc7(places) : places;                 // (N, 4096)
    }

    private Caption[][] Describe(Tensor features, CaptionOptions options)
    {
        int width = Math.Max(options.BeamWidth, options.Count);
        var search = BeamSearchOptions.For(_tokenizer) with
        {
            Width = width,
            // A confidence depends on what else was found, and not on how many captions were asked for; the first are the same.
            Count = _calibration is null ? options.Count : width,
            MaxLength = options.MaxLength,
            LengthNormalization = options.LengthNormalization,
        };
        using var state = _decoder.Start(features);
        var attention = options.Attention && Model.Decoder.Attends ? new List<float[]>() : null;     // by step, (n·b, 196) flat
        var found = BeamSearch.Search((int)features.shape[0], search, (words, photos, parents) =>
        {
            var logP = state.Step(words, photos, parents);
            attention?.Add(state.Attention!.cpu().data<float>().ToArray());
            return logP;
        }, _device);
        double[][]? photos = _calibration is null ? null : Familiarity.LogMeans(features);
        return [.. found.Select((list, photo) =>
        {
            double[]? confidences = _calibration?.Confidences(list, _calibration.Familiarity.Factor(photos![photo]));
            return list.Take(options.Count).Select((h, rank) => Write(h, confidences?[rank], attention)).ToArray();
        })];
    }

    private Caption Write(Hypothesis hypothesis, double? confidence, List<float[]>? attention)
    {
        string[] words = Array.ConvertAll(hypothesis.Words, _vocabulary.Display);
        return new Caption(_tokenizer.Detokenize(words), hypothesis.LogProbability,
        [
            .. words.Select((word, t) => new CaptionWord(word, Math.Exp(hypothesis.WordLogProbabilities[t]),
                attention?[t].AsSpan(hypothesis.Rows[t] * Vgg16.Places, Vgg16.Places).ToArray())),
        ], confidence);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _share.Dispose();
        _decoder.Dispose();
    }
}
