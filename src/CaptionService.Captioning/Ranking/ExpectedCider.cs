using System.Runtime.Intrinsics;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Ranking;

/// <summary>
/// The CIDEr that a caption of a photo can expect of people's captions of it, which nobody has written: <c>expected-cider.safetensors</c>
/// of a bundle.
/// Captions lie in a latent semantic space of their n-grams' tf-idf vectors (LSA, Deerwester et al. 1990), each where the sum over its
/// n-grams puts it; a small network says where people's captions of a photo would lie, from the mean activations of the encoder's channels.
/// The product of the two embeddings is the mean over n = 1 to 4 of the cosine that CIDEr is made of.
/// </summary>
/// <remarks>
/// Captions were ranked so with those of the most similar photos (Devlin et al. 2015, arXiv:1505.04467) and with a network that compares
/// photo and caption (DMSM, Fang et al. 2015, arXiv:1411.4952). The decoder asks which word comes next; this asks whether the sentence as a
/// whole is about the photo, and its pairs of words already guide the search there. It holds no photo and no caption. For one thread at a
/// time.
/// </remarks>
public sealed class ExpectedCider : IDisposable
{
    /// <summary>Its file in a bundle.</summary>
    public const string FileName = "expected-cider.safetensors";

    /// <summary>The tensors of the file: a photo's channels are compared by <c>channels.mean</c> and <c>channels.std</c> (F), the network
    /// is <c>hidden</c> (H, F) and <c>output</c>
    /// (R, H) with their biases; <c>ngrams</c> (G, 4) int32 are ids of words, -1 past the length, with their <c>idf</c> (G), and are
    /// embedded at <c>vectors</c> (G, R) int8 times
    /// <c>scales</c> (G); <c>unlisted_idf</c> (1) stands for that of all others; <c>ranking</c> (2), which older files lack, are the
    /// <see cref="RankingWeights"/>.</summary>
    private static readonly string[] s_names = ["channels.mean", "channels.std", "hidden.weight", "hidden.bias", "output.weight", "output.bias", "ngrams", "idf", "vectors", "scales", "unlisted_idf", Weights];

    private const string Weights = "ranking";

    // Chosen on the development splits of three languages: how much pairs of words guide the search, and what a pair costs, as a share of
    // the square of its idf.
    private const double Guidance = 2.5, PairPenalty = 0.006;

    private readonly IReadOnlyDictionary<string, Tensor> _stored;
    private readonly Dictionary<string, Tensor> _network;       // float32, on the device
    private readonly Dictionary<Ngram<int>, int> _rows;
    private readonly Dictionary<int, (int Word, int Row)[]> _pairs;         // by the first word
    private readonly float[] _idf, _scales;
    private readonly sbyte[] _vectors;
    private readonly float _unlisted;
    private readonly int _rank;

    /// <summary>What counts in the order of captions; fitted on development photos.</summary>
    public RankingWeights Ranking { get; internal set; }

    // Takes the tensors; they are checked.
    private ExpectedCider(IReadOnlyDictionary<string, Tensor> stored, Dictionary<Ngram<int>, int> rows, Device device)
    {
        (_stored, _rows, _rank) = (stored, rows, (int)stored["vectors"].shape[1]);
        _network = s_names[..6].ToDictionary(name => name, name => stored[name].to(ScalarType.Float32).to(device));
        _idf = Floats("idf");
        _scales = Floats("scales");
        _unlisted = Floats("unlisted_idf")[0];
        Ranking = Floats(Weights) is [var weight, var cost] ? new RankingWeights(weight, cost) : default;
        _pairs = rows.Where(n => n.Key.Length == 2).GroupBy(n => n.Key.First).ToDictionary(n => n.Key, n => n.Select(pair => (pair.Key.Second, pair.Value)).ToArray());
        _vectors = stored["vectors"].data<sbyte>().ToArray();
        foreach (var tensor in stored.Values.Concat(_network.Values))
            tensor.DetachFromDisposeScope();

        float[] Floats(string name)
        {
            using var values = stored[name].to(ScalarType.Float32);
            return values.data<float>().ToArray();
        }
    }

    /// <summary>Reads one.</summary>
    /// <param name="path">A safetensors file, taken as hostile.</param>
    /// <param name="decoder">The model's, whose words and features it is about.</param>
    /// <param name="device">Where the network runs.</param>
    /// <exception cref="SafetensorsException">The file is none.</exception>
    /// <exception cref="ModelBundleException">A tensor is missing, does not fit the others or the model, or is no number.</exception>
    public static ExpectedCider Load(string path, Decoders.DecoderOptions decoder, Device device)
    {
        using var scope = NewDisposeScope();
        return Create(Safetensors.Load(path), decoder, device);
    }

    /// <summary>Makes one of the tensors of a file, which it takes.</summary>
    /// <inheritdoc cref="Load"/>
    internal static ExpectedCider Create(IReadOnlyDictionary<string, Tensor> tensors, Decoders.DecoderOptions decoder, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        if (!tensors.ContainsKey(Weights))
            tensors = new Dictionary<string, Tensor>(tensors) { [Weights] = tensor([10f, 0f]) };
        string[] difference = [.. s_names.Except(tensors.Keys).Select(name => name + " is missing"), .. tensors.Keys.Except(s_names).Select(name => name + " is unknown")];
        if (difference.Length > 0)
            throw Refused(string.Join(", ", difference));
        if (tensors["hidden.weight"].dim() != 2 || tensors["vectors"].dim() != 2)
            throw Refused("hidden.weight and vectors must have two dimensions");
        long features = decoder.FeatureSize, hidden = tensors["hidden.weight"].shape[0], ngrams = tensors["vectors"].shape[0], rank = tensors["vectors"].shape[1];
        (long[] Shape, ScalarType Type)[] expected =
        [
            ([features], ScalarType.Float32), ([features], ScalarType.Float32), ([hidden, features], ScalarType.Float16), ([hidden], ScalarType.Float16), ([rank, hidden], ScalarType.Float16), ([rank], ScalarType.Float16),
            ([ngrams, Ngram<int>.MaxLength], ScalarType.Int32), ([ngrams], ScalarType.Float16), ([ngrams, rank], ScalarType.Int8), ([ngrams], ScalarType.Float16), ([1], ScalarType.Float32), ([2], ScalarType.Float32),
        ];
        foreach (var (name, (shape, type)) in s_names.Zip(expected))
        {
            if (!tensors[name].shape.AsSpan().SequenceEqual(shape) || tensors[name].dtype != type)
                throw Refused($"{name} must be {type} of shape [{string.Join(", ", shape)}]");
            if (tensors[name].is_floating_point() && !tensors[name].to(ScalarType.Float32).isfinite().all().item<bool>())
                throw Refused($"{name} has values that are not numbers");
        }
        if (!(tensors["channels.std"].min().item<float>() > 0))
            throw Refused("channels.std must be above 0");
        if (!(tensors[Weights].min().item<float>() >= 0))
            throw Refused($"{Weights} must be 0 or more");
        var rows = new Dictionary<Ngram<int>, int>((int)ngrams);
        int[][] ids = [.. tensors["ngrams"].data<int>().ToArray().Chunk(Ngram<int>.MaxLength)];
        for (int row = 0; row < ids.Length; row++)
        {
            int length = Array.FindIndex(ids[row], id => id < 0) is >= 0 and var end ? end : Ngram<int>.MaxLength;
            if (length == 0 || ids[row][..length].Any(id => id <= Vocabulary.Unknown || id >= decoder.VocabularySize) || ids[row][length..].Any(id => id != -1) || !rows.TryAdd(Ngrams.Of(ids[row], 0, length), row))
                throw Refused($"row {row} of ngrams is no n-gram of the model's words, or there twice");
        }
        return new ExpectedCider(tensors, rows, device);
    }

    private static ModelBundleException Refused(string why) => new($"{FileName} does not fit: {why}.");

    /// <summary>The roots of photos' mean activations: what the network reads.</summary>
    /// <param name="means">(N, F) float32, the photos' <see cref="Encoders.ChannelMeans"/>; not negative.</param>
    /// <returns>(N, F) float32, on the same device.</returns>
    internal static Tensor Channels(Tensor means)
    {
        using var scope = NewDisposeScope();
        return means.relu().sqrt().MoveToOuterDisposeScope();
    }

    /// <summary><see cref="Channels"/> in deviations from the mean of training photos, scaled to one length for every photo.</summary>
    internal static Tensor Standard(Tensor channels, Tensor mean, Tensor std)
    {
        using var scope = NewDisposeScope();
        return nn.functional.normalize(channels.sub(mean).div(std)).times(Math.Sqrt(channels.shape[1])).MoveToOuterDisposeScope();
    }

    /// <summary>The embeddings that people's captions of photos are expected at.</summary>
    /// <param name="means">(N, F) float32, the photos' <see cref="Encoders.ChannelMeans"/>, on any device.</param>
    /// <returns>N embeddings.</returns>
    public float[][] Embed(Tensor means)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var standard = Standard(Channels(means.to(_network["channels.mean"].device)), _network["channels.mean"], _network["channels.std"]);
        var hidden = nn.functional.gelu(nn.functional.linear(standard, _network["hidden.weight"], _network["hidden.bias"]));
        return [.. nn.functional.linear(hidden, _network["output.weight"], _network["output.bias"]).cpu().contiguous().data<float>().ToArray().Chunk(_rank)];
    }

    /// <summary>What captions of photos can expect, for a search of them.</summary>
    /// <param name="means">(N, F) float32, the photos' <see cref="Encoders.ChannelMeans"/>; not kept.</param>
    public Expectation Expect(Tensor means)
    {
        float[][] embeddings = Embed(means);
        var known = new Dictionary<(int, int), IReadOnlyDictionary<int, float>>();
        float penalty = (float)(Guidance * PairPenalty * _unlisted * _unlisted);
        return new Expectation(new Guide(Bonuses, penalty), (photo, words) => Of(embeddings[photo], words), Ranking);

        // Each pair's part of the product that CIDEr is, less what it adds to the caption's length there.
        IReadOnlyDictionary<int, float> Bonuses(int photo, int first)
        {
            if (!known.TryGetValue((photo, first), out var pairs))
                known[(photo, first)] = pairs = _pairs.GetValueOrDefault(first, []).ToDictionary(pair => pair.Word, pair =>
                    penalty + (float)(Guidance * _idf[pair.Row] * (Product(embeddings[photo], pair.Row) - PairPenalty * _idf[pair.Row])));
            return pairs;
        }
    }

    /// <summary>What a caption can expect: CIDEr divided by 10, without its clipping and its penalty for length; at most about 1.</summary>
    /// <param name="embedding">The photo's (<see cref="Embed"/>).</param>
    /// <param name="words">The caption, as ids.</param>
    public double Of(float[] embedding, IReadOnlyList<int> words)
    {
        Span<double> products = stackalloc double[Ngram<int>.MaxLength], squares = stackalloc double[Ngram<int>.MaxLength];
        foreach (var (ngram, count) in Ngrams.Count(words))
        {
            bool listed = _rows.TryGetValue(ngram, out int row);
            double weight = count * (listed ? _idf[row] : _unlisted);
            squares[ngram.Length - 1] += weight * weight;
            if (!listed)
                continue;
            products[ngram.Length - 1] += weight * Product(embedding, row);
        }
        double total = 0;
        for (int n = 0; n < products.Length; n++)
            total += squares[n] == 0 ? 0 : products[n] / Math.Sqrt(squares[n]);
        return total / products.Length;
    }

    private float Product(float[] embedding, int row)
    {
        ReadOnlySpan<sbyte> vector = _vectors.AsSpan(row * _rank, _rank);
        var sums = Vector512<float>.Zero;
        int r = 0;
        for (; r <= _rank - Vector128<sbyte>.Count; r += Vector128<sbyte>.Count)
        {
            var (low, high) = Vector128.Widen(Vector128.Create(vector[r..]));
            var (first, second) = Vector256.Widen(Vector256.Create(low, high));
            sums += Vector512.ConvertToSingle(Vector512.Create(first, second)) * Vector512.Create(embedding, r);
        }
        float sum = Vector512.Sum(sums);
        for (; r < _rank; r++)
            sum += embedding[r] * vector[r];
        return sum * _scales[row];
    }

    /// <summary>Writes the file.</summary>
    internal void Save(string path)
    {
        using var ranking = tensor(new[] { (float)Ranking.Expected, (float)Ranking.WordCost });
        Safetensors.Save(path, new Dictionary<string, Tensor>(_stored) { [Weights] = ranking }, StateDict.Metadata);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _stored.Values.Concat(_network.Values))
            tensor.Dispose();
    }
}
