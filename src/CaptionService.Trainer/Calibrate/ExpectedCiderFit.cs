using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Calibrate;

/// <summary>
/// Learns <see cref="ExpectedCider"/>: the space of the training captions by truncated singular value decomposition, then a network
/// with one hidden layer from photos to the mean embedding of their captions, by squared error, which is least at the expectation.
/// </summary>
internal static class ExpectedCiderFit
{
    /// <summary>Fewest training photos: from fewer nothing is learnt that ranks better.</summary>
    internal const int MinPhotos = 500;

    // Chosen on the development splits of three languages: more n-grams and a larger rank or network tell no more.
    private const int MaxNgrams = 8000, MinPhotosOfNgram = 3, MaxRank = 256, Networks = 3, Hidden = 512, MaxBasis = 6000;
    private const int Epochs = 90, MaxSteps = 20_000, Batch = 100;
    private const double LearningRate = 1e-3, Dropout = 0.1;

    /// <summary>Learns.</summary>
    /// <param name="captions">The captions of each training photo, as ids; at least one each.</param>
    /// <param name="augmentations">Features of the photos with each augmentation, rows in the order of <paramref name="captions"/>.</param>
    /// <param name="decoder">The model's.</param>
    /// <param name="seed">Seed of the network's first weights and the order of photos: equal seeds give equal results but for the last digits.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="stop">Ends it.</param>
    /// <returns>null where no n-gram tells photos apart.</returns>
    public static ExpectedCider? Fit(int[][][] captions, IReadOnlyList<FeatureSource> augmentations, DecoderOptions decoder, long seed, Progress progress, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        var device = TorchRuntime.Device;

        // 1. The n-grams that are worth a dimension, and each photo's captions as their tf-idf vectors.
        var photosWith = new Dictionary<Ngram<int>, int>();
        foreach (int[][] photo in captions)
        {
            foreach (var ngram in photo.SelectMany(caption => Ngrams.Count(caption).Keys).ToHashSet())
                photosWith[ngram] = photosWith.GetValueOrDefault(ngram) + 1;
        }
        Ngram<int>[] listed =
        [
            .. photosWith.Where(n => n.Value >= MinPhotosOfNgram && n.Value < captions.Length && Ids(n.Key).All(id => id != Vocabulary.Unknown)).OrderByDescending(n => n.Value)
                .ThenBy(n => n.Key.First).ThenBy(n => n.Key.Second).ThenBy(n => n.Key.Third).ThenBy(n => n.Key.Fourth).ThenBy(n => n.Key.Length).Take(MaxNgrams).Select(n => n.Key),
        ];
        if (listed.Length == 0)
            return null;
        var rowOf = listed.Select((ngram, row) => (ngram, row)).ToDictionary(n => n.ngram, n => n.row);
        double Idf(int photos) => Math.Log((double)captions.Length / photos);
        var vectors = Array.ConvertAll(captions, photo => Mean(photo, ngram => Idf(photosWith[ngram]), rowOf));

        // 2. The space, from some of the photos; where the captions of each lie in it.
        int every = (captions.Length + MaxBasis - 1) / MaxBasis;
        var basis = Basis(Dense([.. vectors.Where((_, i) => i % every == 0)], listed.Length, device), stop);      // (G, R)
        var embeddings = cat([.. vectors.Chunk(1000).Select(some =>
        {
            using var dense = Dense(some, listed.Length, device);
            return dense.mm(basis);
        })]);
        double size = embeddings.norm(1).norm().value() / Math.Sqrt(captions.Length);
        using Scalar least = 1e-6, levels = 127, lowest = -127;
        embeddings = embeddings.times(1 / size);

        // 3. The network.
        Tensor[] inputs = [.. augmentations.Select(source => Channels(source, captions.Length, stop).to(device))];
        var (mean, std) = (inputs[0].mean([0L]), inputs[0].std(0).plus(1e-3));
        for (int i = 0; i < inputs.Length; i++)
            inputs[i] = ExpectedCider.Standard(inputs[i], mean, std);
        int perEpoch = (captions.Length + Batch - 1) / Batch, steps = Math.Min(Epochs * perEpoch, MaxSteps);
        progress.Begin("expected CIDEr", Networks * steps);
        // Networks that began elsewhere err elsewhere: their mean, which is one network of as many units together, errs least.
        var layers = Enumerable.Range(0, Networks).Select(_ => Train(inputs, embeddings, steps, progress, stop)).ToArray();

        using var noGrad = no_grad();
        var scales = basis.abs().amax([1L]).clamp_min(least).div(levels).to(ScalarType.Float16);
        Tensor Half(Tensor tensor) => tensor.to(ScalarType.Float16).cpu();
        return ExpectedCider.Create(new Dictionary<string, Tensor>
        {
            ["channels.mean"] = mean.cpu(),
            ["channels.std"] = std.cpu(),
            ["hidden.weight"] = Half(cat([.. layers.Select(l => l.HiddenWeight)])),
            ["hidden.bias"] = Half(cat([.. layers.Select(l => l.HiddenBias)])),
            ["output.weight"] = Half(cat([.. layers.Select(l => l.OutputWeight)], 1).times(size / Networks)),
            ["output.bias"] = Half(stack([.. layers.Select(l => l.OutputBias)]).mean([0L]).times(size)),
            ["ngrams"] = tensor(listed.SelectMany(Ids).ToArray(), [listed.Length, Ngram<int>.MaxLength]),
            ["idf"] = Half(tensor(listed.Select(ngram => (float)Idf(photosWith[ngram])).ToArray())),
            ["vectors"] = basis.div(scales.to(ScalarType.Float32).unsqueeze(1)).round().clamp(lowest, levels).to(ScalarType.Int8).cpu(),
            ["scales"] = scales.cpu(),
            ["unlisted_idf"] = tensor(new[] { (float)Idf(1) }),
            ["ranking"] = zeros(2),
        }, decoder, device);
    }

    /// <summary>Trains a network of one hidden layer from photos, with the augmentations in turn, to the embeddings of their captions.</summary>
    /// <returns>Its weights, in the caller's scope.</returns>
    private static (Tensor HiddenWeight, Tensor HiddenBias, Tensor OutputWeight, Tensor OutputBias) Train(Tensor[] inputs, Tensor embeddings, int steps, Progress progress, CancellationToken stop)
    {
        using var hidden = nn.Linear(inputs[0].shape[1], Hidden, device: embeddings.device);
        using var output = nn.Linear(Hidden, embeddings.shape[1], device: embeddings.device);
        using var adam = new Adam(new[] { (nameof(hidden), hidden), (nameof(output), output) }.SelectMany(l => l.Item2.named_parameters().Select(p => ($"{l.Item1}.{p.name}", p.parameter))), 0.9, 0.999, average: 0);
        int photos = (int)embeddings.shape[0], perEpoch = (photos + Batch - 1) / Batch;
        Tensor? order = null;
        for (int step = 0; step < steps; step++)
        {
            stop.ThrowIfCancellationRequested();
            if (step % perEpoch == 0)
                order = randperm(photos, device: embeddings.device);
            using var scope = NewDisposeScope();
            int first = step % perEpoch * Batch;
            var rows = order!.narrow(0, first, Math.Min(Batch, photos - first));
            var guess = output.forward(nn.functional.dropout(nn.functional.gelu(hidden.forward(inputs[step % inputs.Length].index_select(0, rows))), Dropout));
            nn.functional.mse_loss(guess, embeddings.index_select(0, rows), nn.Reduction.Sum).backward();
            adam.Step(LearningRate * 0.5 * (1 + Math.Cos(Math.PI * step / steps)), maxNorm: double.PositiveInfinity);
            progress.Advance(1);
        }
        return (hidden.weight!.detach(), hidden.bias!.detach(), output.weight!.detach(), output.bias!.detach());
    }

    /// <summary>The ids of an n-gram, -1 past its length.</summary>
    private static int[] Ids(Ngram<int> ngram) =>
        [ngram.First, ngram.Length > 1 ? ngram.Second : -1, ngram.Length > 2 ? ngram.Third : -1, ngram.Length > 3 ? ngram.Fourth : -1];

    /// <summary>
    /// Mean over captions of their tf-idf vectors, the n-grams of each length of norm 1, as CIDEr compares them; of the listed n-grams only.
    /// </summary>
    private static Dictionary<int, float> Mean(int[][] captions, Func<Ngram<int>, double> idf, Dictionary<Ngram<int>, int> rowOf)
    {
        var mean = new Dictionary<int, float>();
        Span<double> squares = stackalloc double[Ngram<int>.MaxLength];
        foreach (int[] caption in captions)
        {
            var counts = Ngrams.Count(caption);
            squares.Clear();
            foreach (var (ngram, count) in counts)
                squares[ngram.Length - 1] += Math.Pow(count * idf(ngram), 2);
            foreach (var (ngram, count) in counts)
            {
                double square = squares[ngram.Length - 1];
                if (square > 0 && rowOf.TryGetValue(ngram, out int row))
                    mean[row] = mean.GetValueOrDefault(row) + (float)(count * idf(ngram) / Math.Sqrt(square) / captions.Length);
            }
        }
        return mean;
    }

    private static Tensor Dense(Dictionary<int, float>[] vectors, int columns, Device device)
    {
        var values = new float[(long)vectors.Length * columns];
        for (int i = 0; i < vectors.Length; i++)
        {
            foreach (var (row, value) in vectors[i])
                values[(long)i * columns + row] = value;
        }
        return tensor(values, [vectors.Length, columns], device: device);
    }

    /// <summary>
    /// The right singular vectors of the largest singular values, (G, R), by subspace iteration (Halko et al. 2011, arXiv:0909.4061). In float64:
    /// vectors of close values turn with the last digit, which depends on where in memory the numbers lie.
    /// </summary>
    private static Tensor Basis(Tensor photos, CancellationToken stop)
    {
        const int Iterations = 6, Spare = 32;
        const double Nothing = 1e-9;                    // of the largest squared value: captions that say no more
        using var scope = NewDisposeScope();
        var vectors = photos.to(ScalarType.Float64);
        int rank = (int)Math.Min(MaxRank, Math.Min(vectors.shape[0], vectors.shape[1]));
        int width = (int)Math.Min(rank + Spare, Math.Min(vectors.shape[0], vectors.shape[1]));
        var space = randn([vectors.shape[1], width], ScalarType.Float64, vectors.device);
        for (int i = 0; i < Iterations; i++)
        {
            stop.ThrowIfCancellationRequested();
            space = linalg.qr(vectors.t().mm(vectors.mm(space))).Q;
        }
        var image = vectors.mm(space);
        var (squares, directions) = linalg.eigh(image.t().mm(image));        // rising
        double[] values = squares.data<double>().ToArray();
        rank = Math.Min(rank, values.Count(value => value > values[^1] * Nothing));
        var basis = space.mm(directions.narrow(1, width - rank, rank).flip(1));
        // Which way a direction points is chance: here towards its largest value.
        basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim: true)).sign();
        return basis.to(ScalarType.Float32).contiguous().MoveToOuterDisposeScope();
    }

    private static Tensor Channels(FeatureSource features, int photos, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        return cat([.. Enumerable.Range(0, photos).Chunk(50).Select(rows =>
        {
            stop.ThrowIfCancellationRequested();
            using var some = features.Rows(rows);
            return ExpectedCider.Channels(ChannelMeans.Of(some));
        })]).MoveToOuterDisposeScope();
    }
}
