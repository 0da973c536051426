using System.Diagnostics;
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

/// <summary>How one photo is to be captioned.</summary>
public sealed record CaptionOptions
{
    /// <summary>Captions returned, best first: 1 to <see cref="MaxBeamWidth"/>, at most <see cref="BeamWidth"/>.</summary>
    public int Count { get; init; } = 3;

    /// <summary>Hypotheses kept at each step of the search: 1 (greedy) to <see cref="MaxBeamWidth"/>.</summary>
    public int BeamWidth { get; init; } = DefaultBeamWidth;

    /// <summary>Longest caption, in words, the end not counted: 1 to <see cref="MaxMaxLength"/>.</summary>
    public int MaxLength { get; init; } = 20;

    /// <summary>Shortest caption, in words: 1 to <see cref="MaxLength"/>.</summary>
    public int MinLength { get; init; } = 1;

    /// <summary>Exponent a of the length normalisation, log p / length^a, by which the search compares hypotheses: 0 (none) to 2.</summary>
    public double LengthNormalization { get; init; } = DefaultLengthNormalization;

    /// <summary>How much the captions are to differ: 0 (the likeliest, however alike) to <see cref="MaxDiversity"/>; see <see cref="BeamSearchOptions.Diverse"/>.</summary>
    public double Diversity { get; init; }

    /// <summary>Whether the text begins with a capital and ends with a full stop; else it is the words, joined as the language writes them.</summary>
    public bool Sentence { get; init; } = true;

    /// <summary>Whether each caption carries its words' attention maps.</summary>
    public bool Attention { get; init; }

    /// <summary>Default of <see cref="BeamWidth"/>, chosen on the development split.</summary>
    public const int DefaultBeamWidth = 10;

    /// <summary>Default of <see cref="LengthNormalization"/>, chosen on the development split.</summary>
    public const double DefaultLengthNormalization = 1;

    /// <summary>Largest <see cref="BeamWidth"/> and <see cref="Count"/>.</summary>
    public const int MaxBeamWidth = 16;

    /// <summary>Largest <see cref="MaxLength"/>.</summary>
    public const int MaxMaxLength = 50;

    /// <summary>Largest <see cref="Diversity"/>: beyond it, likelihood counts for little.</summary>
    public const double MaxDiversity = 5;
}

/// <summary>One caption of a photo.</summary>
/// <param name="Text">As a person writes it: capital first, full stop, where <see cref="CaptionOptions.Sentence"/> asks for that.</param>
/// <param name="LogProbability">Natural logarithm of the caption's probability under the model, the end token included; not normalised by length.</param>
/// <param name="Words">The words in order, as the model emitted them.</param>
/// <param name="Confidence">What <see cref="Calibration.Meaning"/> says, 0..1; null when the model has no calibration.</param>
public sealed record Caption(string Text, double LogProbability, IReadOnlyList<CaptionWord> Words, double? Confidence = null);

/// <summary>One word of a caption.</summary>
/// <param name="Text">The word.</param>
/// <param name="Probability">Its probability given the photo and the words before it, 0..1.</param>
/// <param name="Attention">Where the decoder looked: 14×14 weights by row, summing to 1; null when not asked for or when the decoder does not attend.</param>
public sealed record CaptionWord(string Text, double Probability, float[]? Attention);

/// <summary>One photo for one model to caption; the same <see cref="Photo"/> in several jobs goes through the encoder once.</summary>
public readonly record struct CaptionJob(Photo Photo, CaptionOptions Options, Captioner Model);

/// <summary>The captions of a batch and what they cost.</summary>
/// <param name="Photos">One ranked list for each photo, or each job, in their order.</param>
/// <param name="Seen">Photos that went through the encoder.</param>
/// <param name="Encode">Time in the encoder, for the whole batch.</param>
/// <param name="Decode">Time in the decoder and search, for the whole batch.</param>
public sealed record CaptionedBatch(IReadOnlyList<IReadOnlyList<Caption>> Photos, int Seen, TimeSpan Encode, TimeSpan Decode);

/// <summary>
/// A loaded model: photos in, ranked captions out. Synchronous, and for one thread at a time: the service's worker owns it.
/// </summary>
public sealed class Captioner : IDisposable
{
    private readonly SharedEncoders.Share<Vgg16> _share;
    private readonly SharedEncoders.Share<Conv5>? _adapted;         // its last block; null: the encoder's own
    private readonly Vgg16 _encoder;
    private readonly FrozenDecoder _decoder;
    private readonly Vocabulary _vocabulary;
    private readonly Tokenizer _tokenizer;
    private readonly BeamSearchOptions _search;
    private readonly ExpectedCider? _expected;
    private readonly Calibration? _calibration;
    private readonly Device _device;

    /// <summary>What the model says of itself.</summary>
    public ModelCard Model { get; }

    /// <summary>How the encoder runs here.</summary>
    public EncoderPrecision Precision => _encoder.Precision;

    /// <summary>What the model sees with: the same object for models that share an encoder, though each may have a last block of its own.</summary>
    public object Encoder => _encoder;

    /// <summary>Folder of the models that come with the product, one for each language, and of the encoder weights.</summary>
    public static string DefaultModels { get; } = Path.Combine(AppContext.BaseDirectory, "DefaultModels");

    /// <summary>Folder of the English model that comes with the product.</summary>
    public static string DefaultModelFolder { get; } = Path.Combine(DefaultModels, "everyday-en");

    /// <summary>The encoder weights that come with the product.</summary>
    public static string DefaultEncoderPath { get; } = Path.Combine(DefaultModels, "vgg16", "encoder.safetensors");

    internal Conv5 Conv5 => _adapted?.Value ?? _encoder.Conv5;

    private Captioner(ModelBundle bundle, FrozenDecoder decoder, ExpectedCider? expected, SharedEncoders.Share<Vgg16> share, SharedEncoders.Share<Conv5>? adapted, Device device)
    {
        (Model, _vocabulary, _calibration, _decoder, _expected, _share, _encoder, _adapted, _device) = (bundle.Card, bundle.Vocabulary, bundle.Calibration, decoder, expected, share, share.Value, adapted, device);
        _tokenizer = Tokenizer.For(Model.Language);
        _search = BeamSearchOptions.For(_tokenizer, _vocabulary);
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
                adapted = encoders.TakeBlock(encoderPath, digest, path, device, share.Value.Precision);
            expectedCider = bundle.LoadExpectedCider(device);
            bundle.Decoder.to(device);
            return new Captioner(bundle, bundle.Decoder.Freeze(share.Value.Precision.Type), expectedCider, share, adapted, device);
        }
        catch (Exception e)
        {
            adapted?.Dispose();
            expectedCider?.Dispose();
            share.Dispose();
            if (e is SafetensorsException)
                throw new ModelBundleException($"{ModelBundle.AdapterFile} of '{bundle.Card.Name}' cannot be loaded: {e.Message}", e);
            throw;
        }
    }

    /// <summary>
    /// Runs the network once, so that the first photo is no slower than the next, and sees that captions come out.
    /// An encoder that other models use already is left to them: this may run on another thread than <see cref="Caption(IReadOnlyList{CaptionJob})"/>.
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
                var places = _encoder.Forward(zeros(1, Photo.Side, Photo.Side, 3, ScalarType.Byte));
                if (Model.Decoder.SingleVector)
                    _encoder.Fc7(places);
            }
            if (_adapted?.IsFirstUse() == true)
                _adapted.Value.Forward(zeros(1, Vgg16.Places, Vgg16.Channels));
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
    public CaptionedBatch Caption(IReadOnlyList<Photo> photos, IReadOnlyList<CaptionOptions> options) => photos.Count == options.Count
        ? Caption([.. photos.Zip(options, (photo, its) => new CaptionJob(photo, its, this))])
        : throw new ArgumentException($"{photos.Count} photos but {options.Count} options.", nameof(options));

    /// <summary>Captions a batch with several models that share an encoder: one encoder pass for all photos, one search for each model and equal options.</summary>
    /// <returns>As many lists as jobs, in their order.</returns>
    /// <exception cref="ArgumentException">The models have different encoders.</exception>
    public static CaptionedBatch Caption(IReadOnlyList<CaptionJob> jobs)
    {
        if (jobs.Count == 0)
            return new CaptionedBatch([], 0, TimeSpan.Zero, TimeSpan.Zero);
        var (encoder, device) = (jobs[0].Model._encoder, jobs[0].Model._device);
        if (jobs.Any(job => job.Model._encoder != encoder))
            throw new ArgumentException("The models have different encoders.", nameof(jobs));
        using var scope = NewDisposeScope();
        using var inference = inference_mode();

        long start = Stopwatch.GetTimestamp();
        var photos = new List<Photo>();
        var rows = new Dictionary<Photo, int>(ReferenceEqualityComparer.Instance);
        foreach (var job in jobs)
        {
            if (rows.TryAdd(job.Photo, photos.Count))
                photos.Add(job.Photo);
        }
        var pool4 = encoder.Pool4(Vgg16.Pixels(photos));                                    // (N, 196, 512)
        var encode = Elapsed(start);

        var decode = TimeSpan.Zero;
        var results = new IReadOnlyList<Caption>[jobs.Count];
        // What models see differently after pool4, each sees of its own photos only.
        foreach (var seen in Enumerable.Range(0, jobs.Count).GroupBy(i => (jobs[i].Model.Conv5, jobs[i].Model.Model.Decoder.SingleVector)))
        {
            start = Stopwatch.GetTimestamp();
            int[] its = [.. seen.Select(i => rows[jobs[i].Photo]).Distinct()];
            using var some = Rows(pool4, its);
            using var places = seen.Key.Conv5.Forward(some);                                // (n, 196, 512)
            using var features = seen.Key.SingleVector ? encoder.Fc7(places) : places.alias();      // or (n, 4096)
            encode += Elapsed(start);

            start = Stopwatch.GetTimestamp();
            foreach (var group in seen.GroupBy(i => (jobs[i].Model, jobs[i].Options)))
            {
                int[] members = [.. group];
                using var wanted = Rows(features, [.. members.Select(i => Array.IndexOf(its, rows[jobs[i].Photo]))]);
                var captions = group.Key.Model.Describe(wanted, group.Key.Options);
                for (int i = 0; i < members.Length; i++)
                    results[members[i]] = captions[i];
            }
            decode += Elapsed(start);
        }
        return new CaptionedBatch(results, photos.Count, encode, decode);

        TimeSpan Elapsed(long since)
        {
            if (device.type == DeviceType.CUDA)
                cuda.synchronize();
            return Stopwatch.GetElapsedTime(since);
        }

        Tensor Rows(Tensor all, int[] some) => some.SequenceEqual(Enumerable.Range(0, (int)all.shape[0]))
            ? all.alias()
            : all.index_select(0, tensor(Array.ConvertAll(some, row => (long)row), ScalarType.Int64, device));
    }

    private Caption[][] Describe(Tensor features, CaptionOptions options)
    {
        int width = Math.Max(options.BeamWidth, options.Count);
        var search = (_search with
        {
            Width = width,
            // A confidence depends on what else was found, and not on how many captions were asked for; the first are the same.
            Count = _calibration is null ? options.Count : width,
            MaxLength = options.MaxLength,
            MinLength = options.MinLength,
            LengthNormalization = options.LengthNormalization,
        }).Diverse(options.Diversity);
        using var state = _decoder.Start(features);
        var attention = options.Attention && Model.Decoder.Attends ? new List<float[]>() : null;     // by step, (n·b, 196) flat
        var found = BeamSearch.Search((int)features.shape[0], search, (words, photos, parents) =>
        {
            var logP = state.Step(words, photos, parents);
            attention?.Add(state.Attention!.cpu().data<float>().ToArray());
            return logP;
        }, _device, _expected?.Search(features));
        double[][]? photos = _calibration is null ? null : Familiarity.LogMeans(features);
        return [.. found.Select((list, photo) =>
        {
            double[]? confidences = _calibration?.Confidences(list, _calibration.Familiarity.Factor(photos![photo]));
            return list.Take(options.Count).Select((h, rank) => Write(h, confidences?[rank], options.Sentence, attention)).ToArray();
        })];
    }

    private Caption Write(Hypothesis hypothesis, double? confidence, bool sentence, List<float[]>? attention)
    {
        string[] words = Array.ConvertAll(hypothesis.Words, _vocabulary.Display);
        return new Caption(_tokenizer.Detokenize(words, sentence), hypothesis.LogProbability,
        [
            .. words.Select((word, t) => new CaptionWord(word, Math.Exp(hypothesis.WordLogProbabilities[t]),
                attention?[t].AsSpan(hypothesis.Rows[t] * Vgg16.Places, Vgg16.Places).ToArray())),
        ], confidence);
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
