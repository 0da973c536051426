using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using CaptionService.Captioning;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>Training that cannot lead anywhere any more; the message says why and what to change.</summary>
public sealed class CollapsedException(string message) : Exception(message);

/// <summary>One training run, from the job's folder to a model bundle in it. The same folder again goes on from the checkpoint.</summary>
internal sealed class TrainingRun(string folder, TrainingJob job, Progress progress, EventWriter events, CancellationToken stop)
{
    private readonly TrainingOptions _options = job.Options;

    /// <summary>Trains.</summary>
    /// <returns>The card of the model, saved in the folder's <c>model</c>.</returns>
    /// <exception cref="OperationCanceledException">Asked to stop; a checkpoint is there.</exception>
    /// <exception cref="DatasetException">The data set is wrong.</exception>
    /// <exception cref="CollapsedException">Going on is useless.</exception>
    public ModelCard Run()
    {
        // 1. Data: photos, words, features.
        var dataset = Dataset.Load(job.Data, folder);
        var tokenizer = Tokenizer.For(job.Language);
        var vocabulary = Vocabulary.Build(dataset.Train.SelectMany(p => p.Captions.Select(tokenizer.Surfaces)), _options.MinWordCount);
        int[][][] captions = [.. dataset.Train.Select(p => p.Captions.Select(c => Cut(vocabulary.Encode(tokenizer.Tokenize(c)))).Where(c => c.Length > 0).ToArray())];
        if (vocabulary.Count == Vocabulary.Unknown + 1)
            throw new DatasetException($"No word is in the training captions {_options.MinWordCount} times: lower minWordCount.");
        int[][][] devCaptions = [.. dataset.Dev.Select(p => p.Captions.Select(c => Cut(vocabulary.Encode(tokenizer.Tokenize(c)))).Where(c => c.Length > 0).ToArray())];
        foreach (var (photos, words) in new[] { (dataset.Train, captions), (dataset.Dev, devCaptions) })
        {
            int wordless = Array.FindIndex(words, c => c.Length == 0);
            if (wordless >= 0)
                throw new DatasetException($"No caption of {photos[wordless].Name} holds a word.");
        }
        events.WriteOnce("started", 0, new
        {
            step = 0,
            trainPhotos = dataset.Train.Count,
            devPhotos = dataset.Dev.Count,
            captions = captions.Sum(c => c.Length),
            vocabulary = vocabulary.Count,
            options = _options,
        });
        progress.Say($"{dataset.Train.Count} training photos, {dataset.Dev.Count} development photos, {captions.Sum(c => c.Length)} captions, {vocabulary.Count} words");

        string cache = Path.Combine(folder, job.Features), encoder = Captioner.DefaultEncoderPath;
        using var features = FeatureSource.Open(dataset, dataset.Train, cache, encoder, mirrored: false, progress, stop);
        using var mirrored = _options.Mirror && !features.SingleVector ? FeatureSource.Open(dataset, dataset.Train, cache, encoder, mirrored: true, progress, stop) : null;
        using var devFeatures = FeatureSource.Open(dataset, dataset.Dev, cache, encoder, mirrored: false, progress, stop);
        var known = dataset.Train.SelectMany(p => p.Captions).Select(c => string.Join(' ', tokenizer.Tokenize(c))).ToHashSet();
        var validation = new Validation(dataset.Dev, devFeatures, known, vocabulary, tokenizer);

        if (features.SingleVector && _options.Architecture != "show-and-tell")
            throw new DatasetException($"The data set has one vector a photo and no photos: '{_options.Architecture}' attends to places, show-and-tell can be trained.");

        // 2. Network and optimiser, from the checkpoint if there is one.
        var device = TorchRuntime.Device;
        manual_seed(_options.Seed);
        using var decoder = CaptionDecoder.Create(new DecoderOptions
        {
            Architecture = _options.Architecture,
            VocabularySize = vocabulary.Count,
            Embedding = _options.Embedding,
            Hidden = _options.Hidden,
            Heads = _options.Heads,
            Attention = _options.Attention,
            FeatureSize = features.Size,
            SingleVector = features.SingleVector,
        });
        decoder.to(device);
        decoder.Dropout = _options.Dropout;
        using var adam = new Adam(decoder.named_parameters(), _options.Beta1, _options.Beta2, _options.WeightAverage);
        string jobDigest = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(new { job.Language, job.Data, job.Options })));
        var at = Checkpoint.Load(folder, decoder, adam, jobDigest) ?? new Position { Job = jobDigest };
        at = at with { Precision = Precision(at.Precision, device) };
        decoder.ComputeType = at.Precision == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;
        if (at.Step > 0)
            progress.Say($"resumed at step {at.Step}");

        // 3. Steps.
        int stepsPerEpoch = (dataset.Train.Count + _options.BatchPhotos - 1) / _options.BatchPhotos;
        long last = (long)stepsPerEpoch * _options.Epochs;
        long saved = Stopwatch.GetTimestamp(), reported = saved;
        int best = 0;
        int[] order = [];
        for (long step = at.Step; step < last && !Stale(at, stepsPerEpoch); step++)
        {
            int epoch = (int)(step / stepsPerEpoch), inEpoch = (int)(step % stepsPerEpoch);
            if (order.Length == 0 || inEpoch == 0)
            {
                order = Shuffled(dataset.Train.Count, _options.Seed, epoch);
                progress.Begin($"epoch {epoch + 1}/{_options.Epochs}", stepsPerEpoch, inEpoch);
                decoder.train();
            }
            int[] rows = order[(inEpoch * _options.BatchPhotos)..Math.Min((inEpoch + 1) * _options.BatchPhotos, order.Length)];
            double share = _options.ScheduledSampling * step / last;
            var (loss, nll, norm) = Step(decoder, adam, features, mirrored, captions, rows, step, share, LearningRate.At(step, stepsPerEpoch, _options));

            // Adam leaves such a step out, and so do the means; neither can be written as JSON.
            at = double.IsFinite(loss) && double.IsFinite(norm)
                ? at with { Step = step + 1, LossSum = at.LossSum + loss, NllSum = at.NllSum + nll, Summed = at.Summed + 1, Broken = 0 }
                : at with { Step = step + 1, Broken = at.Broken + 1 };
            if (at.Broken == 20)
                throw new CollapsedException("The loss is not a number for 20 steps: lower learningRate, or set precision to float32.");
            progress.Advance(1, $"loss {at.Loss:F3}");
            if (Stopwatch.GetElapsedTime(reported).TotalSeconds >= 5)
            {
                reported = Stopwatch.GetTimestamp();
                double left = progress.Left.TotalSeconds + (_options.Epochs - epoch - 1) * (stepsPerEpoch / Math.Max(progress.Rate, 1e-9));
                events.WriteOnce("progress", step + 1, new { step = step + 1, steps = last, epoch = epoch + 1, loss = at.Loss, stepsPerSecond = progress.Rate, secondsLeft = Math.Round(left) });
            }

            if (inEpoch == stepsPerEpoch - 1)
            {
                at = EndOfEpoch(decoder, adam, validation, devFeatures, devCaptions, dataset.Dev, tokenizer, at, epoch + 1);
                best = at.BestEpoch;
            }
            if (inEpoch == stepsPerEpoch - 1 || stop.IsCancellationRequested || Stopwatch.GetElapsedTime(saved).TotalSeconds >= _options.CheckpointSeconds)
            {
                Checkpoint.Save(folder, decoder, adam, at);
                events.WriteOnce("checkpoint", at.Step, new { step = at.Step });
                saved = Stopwatch.GetTimestamp();
                if (best > 0)
                    Checkpoint.KeepOnly(folder, best);
                stop.ThrowIfCancellationRequested();
            }
        }

        // 4. The best epoch's weights become the model.
        ModelBundle.LoadWeights(decoder, Checkpoint.BestPath(folder, at.BestEpoch));
        return ModelBundle.Save(Path.Combine(folder, "model"), new ModelCard
        {
            Name = job.Name,
            Version = job.Version,
            Language = job.Language,
            Decoder = decoder.Options,
            EncoderSha256 = ModelBundle.FileSha256(encoder),
            Scores = at.BestScores,
            Training = new Dictionary<string, JsonElement>
            {
                ["photos"] = JsonSerializer.SerializeToElement(dataset.Train.Count),
                ["captions"] = JsonSerializer.SerializeToElement(captions.Sum(c => c.Length)),
                ["devPhotos"] = JsonSerializer.SerializeToElement(dataset.Dev.Count),
                ["epoch"] = JsonSerializer.SerializeToElement(at.BestEpoch),
                ["options"] = JsonSerializer.SerializeToElement(_options, TrainingEvent.Json),
            },
        }, vocabulary, decoder);
    }

    /// <summary>One update. Everything random is drawn from a generator seeded by the step, so that a resumed run draws the same.</summary>
    private (double Loss, double Nll, double Norm) Step(CaptionDecoder decoder, Adam adam, FeatureSource features, FeatureSource? mirrored,
        int[][][] captions, int[] rows, long step, double sampled, double learningRate)
    {
        using var scope = NewDisposeScope();
        manual_seed(unchecked(_options.Seed * 1_000_003L + step));
        // Each step sees one view; both come up equally often over the epochs.
        var view = mirrored is not null && ((step * 2654435761L >> 16) & 1) == 1 ? mirrored : features;
        var places = view.Rows(rows).to(TorchRuntime.Device);
        using var packed = new PackedCaptions([.. rows.Select(r => captions[r])], TorchRuntime.Device);
        if (sampled > 0)
            ReplaceWithGuesses(decoder, places, packed, sampled);
        var pass = decoder.Forward(places, packed);
        var logits = decoder.Logits(pass.Outputs);
        var (loss, nll, gradient) = Losses.CrossEntropy(logits, packed.Targets, _options.LabelSmoothing);
        pass.Backward(logits, gradient);
        double norm = adam.Step(learningRate, _options.GradientNorm);
        return (loss.ToDouble(), nll.ToDouble(), norm);
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
        var replaced = where(rand(before.Count, device: places.device).lt(probability), drawn, read);
        packed.ReplaceWords(cat([packed.Words.narrow(0, 0, packed.Rows), replaced]));
    }

    private Position EndOfEpoch(CaptionDecoder decoder, Adam adam, Validation validation, FeatureSource devFeatures, int[][][] devCaptions,
        IReadOnlyList<CaptionedPhoto> dev, Tokenizer tokenizer, Position at, int epoch)
    {
        using var average = adam.UseAverage();
        decoder.eval();
        Scores scores;
        using (var frozen = decoder.Freeze(decoder.ComputeType))
            scores = validation.Run(frozen, new BeamSearchOptions { Width = _options.ValidationBeamWidth, NoRepeatNgram = CaptionOptions.NoRepeatNgram });
        double devLoss = DevLoss(decoder, devFeatures, devCaptions);
        var samples = dev.Take(8).Select((p, i) => new { photo = p.Name, caption = tokenizer.Detokenize(scores.Captions[i]) }).ToArray();
        events.WriteOnce("epoch", at.Step, new { step = at.Step, epoch, loss = at.Loss, negativeLogLikelihood = at.Nll, devNegativeLogLikelihood = devLoss, scores = scores.Figures, samples });
        progress.Say($"epoch {epoch}: loss {at.Loss:F3}  dev nll {devLoss:F3}  {scores}");
        if (epoch >= 3 && scores.Distinct < 0.02)
            events.WriteOnce("warning", at.Step, new { step = at.Step, code = "same_captions", message = $"Only {100 * scores.Distinct:F1} % of the dev captions differ: the model says the same of every photo. Check that photos and captions belong together." });
        if (scores.Cider > at.BestCider)
        {
            Checkpoint.SaveBest(folder, decoder, epoch);
            at = at with { BestCider = scores.Cider, BestEpoch = epoch, BestScores = scores.Figures };
        }
        return at with { LossSum = 0, NllSum = 0, Summed = 0 };
    }

    private double DevLoss(CaptionDecoder decoder, FeatureSource features, int[][][] captions)
    {
        using var noGrad = no_grad();
        double sum = 0;
        long places = 0;
        foreach (int[] rows in Enumerable.Range(0, captions.Length).Chunk(_options.BatchPhotos))
        {
            using var scope = NewDisposeScope();
            using var packed = new PackedCaptions([.. rows.Select(r => captions[r])], TorchRuntime.Device);
            var pass = decoder.Forward(features.Rows(rows).to(TorchRuntime.Device), packed);
            var logP = decoder.Logits(pass.Outputs).to(ScalarType.Float32).log_softmax(-1);
            sum -= logP.gather(1, packed.Targets.unsqueeze(1)).sum().ToDouble();
            places += packed.Targets.shape[0];
        }
        return sum / places;
    }

    private bool Stale(Position at, int stepsPerEpoch) => at.BestEpoch > 0 && at.Step / stepsPerEpoch - at.BestEpoch >= _options.Patience;

    private string Precision(string before, Device device) =>
        _options.Precision != "auto" ? _options.Precision
        : before.Length > 0 ? before
        : EncoderPrecision.Fastest(device).Type == ScalarType.BFloat16 ? "bfloat16" : "float32";

    private int[] Cut(int[] words) => words.Length <= _options.MaxCaptionWords ? words : words[.._options.MaxCaptionWords];

    private static int[] Shuffled(int count, int seed, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        new Random(unchecked(seed * 31 + epoch)).Shuffle(order);
        return order;
    }
}
