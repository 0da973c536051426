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

    /// <summary>Steps made, over all attempts.</summary>
    public long Steps { get; private set; }

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
        using var baseModel = job.BaseModel is { } start ? ModelBundle.Load(Path.Combine(folder, start)) : null;
        string encoder = baseModel?.EncoderPath ?? Captioner.DefaultEncoderPath;
        CheckBase(baseModel?.Card, encoder);
        var vocabulary = baseModel?.Vocabulary ?? Vocabulary.Build(dataset.Train.SelectMany(p => p.Captions.Select(tokenizer.Surfaces)), _options.MinWordCount);
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
            unknownWords = UnknownShare(captions),
            baseModel = baseModel is null ? null : $"{baseModel.Card.Name}@{baseModel.Card.Version}",
            options = _options,
        });
        progress.Say($"{dataset.Train.Count} training photos, {dataset.Dev.Count} development photos, {captions.Sum(c => c.Length)} captions, {vocabulary.Count} words");

        string cache = Path.Combine(folder, job.Features);
        progress.Report = () => events.Write("progress", new { stage = progress.Stage, done = progress.Done, total = progress.Total, perSecond = progress.Rate, secondsLeft = Math.Round(progress.Left.TotalSeconds) });
        using var features = FeatureSource.Open(dataset, dataset.Train, cache, encoder, mirrored: false, progress, stop);
        using var mirrored = _options.Mirror && !features.SingleVector ? FeatureSource.Open(dataset, dataset.Train, cache, encoder, mirrored: true, progress, stop) : null;
        using var devFeatures = FeatureSource.Open(dataset, dataset.Dev, cache, encoder, mirrored: false, progress, stop);
        progress.Report = null;
        var validation = new Validation(dataset.Dev, devFeatures, dataset.TrainCaptions(tokenizer), vocabulary, tokenizer);

        var network = baseModel?.Decoder.Options ?? new DecoderOptions
        {
            Architecture = _options.Architecture,
            VocabularySize = vocabulary.Count,
            Embedding = _options.Embedding,
            Hidden = _options.Hidden,
            Heads = _options.Heads,
            Attention = _options.Attention,
            FeatureSize = features.Size,
            SingleVector = features.SingleVector,
        };
        if (_options.SelfCriticalEpochs > 0 && network.Architecture != "top-down")
            throw new DatasetException($"The base model is '{network.Architecture}', which has no self-critical training: set selfCriticalEpochs to 0.");
        if (features.SingleVector && network.Attends)
            throw new DatasetException($"The data set has one vector a photo and no photos: '{network.Architecture}' attends to places, show-and-tell can be trained.");
        if (network.FeatureSize != features.Size || network.SingleVector != features.SingleVector)
            throw new DatasetException($"The base model works from {(network.SingleVector ? "one vector" : "places")} of {network.FeatureSize} values, the data set gives {(features.SingleVector ? "one vector" : "places")} of {features.Size}.");

        // 2. Network and optimiser, from the checkpoint if there is one.
        var device = TorchRuntime.Device;
        manual_seed(_options.Seed);
        using var decoder = CaptionDecoder.Create(network);
        if (baseModel is not null)
            Copy(baseModel.Decoder, decoder);
        decoder.to(device);
        decoder.Dropout = _options.Dropout;
        using var adam = new Adam(decoder.named_parameters(), _options.Beta1, _options.Beta2, _options.WeightAverage);
        string jobDigest = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(new { job.Language, job.Data, job.Options, Base = baseModel?.Card.Digest })));
        var resumed = Checkpoint.Load(folder, decoder, adam, jobDigest);
        var at = resumed ?? new Position { Job = jobDigest };
        at = at with { Precision = Precision(at.Precision, device) };
        decoder.ComputeType = at.Precision == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;
        if (resumed is null)
            Checkpoint.Save(folder, decoder, adam, at);         // killed before its first checkpoint, a run keeps the number format that was measured
        using var charts = new Charts(Path.Combine(folder, "tensorboard"));
        if (at.Step > 0)
        {
            progress.Say($"resumed at step {at.Step}");
            events.Write("resumed", new { step = at.Step, attempt = job.Attempt });
        }
        else if (baseModel is not null)
        {
            // What the base model says of the same photos, before anything is learnt.
            Validate(decoder, validation, devCaptions, dataset.Dev, tokenizer, charts, at, 0);
        }

        // 3. Steps.
        Stage[] stages =
        [
            new CrossEntropyStage(captions, decoder, adam, features, mirrored, _options),
            .. _options.SelfCriticalEpochs > 0 ? new Stage[] { new SelfCriticalStage(captions, decoder, adam, features, mirrored, _options) } : [],
        ];
        double spent = at.Seconds;
        long began = Stopwatch.GetTimestamp(), saved = began, reported = began;
        int[] order = [];
        while (!at.OutOfTime)
        {
            var stage = stages[at.Stage];
            long inStage = at.Step - at.StageStep;
            if (inStage == stage.Steps || at.StageOver || Stale(at, stage))
            {
                if (at.Stage == stages.Length - 1)
                    break;
                at = NextStage(decoder, adam, at, stage);
                progress.Say($"{stages[at.Stage].Name} training, from epoch {at.BestEpoch}");
                order = [];
                continue;
            }
            int epoch = EpochsDone(at, stage), inEpoch = (int)(inStage % stage.StepsPerEpoch), epochs = at.StageEpoch + stage.Options.Epochs;
            if (order.Length == 0 || inEpoch == 0)
            {
                order = Shuffled(stage.Items, _options.Seed, epoch);
                progress.Begin($"epoch {epoch + 1}/{epochs}", stage.StepsPerEpoch, inEpoch);
                decoder.train();
            }
            var (loss, nll, norm) = stage.Step(order.AsSpan()[(inEpoch * stage.Batch)..Math.Min((inEpoch + 1) * stage.Batch, order.Length)], at.Step, inStage);

            // Adam leaves such a step out, and so do the means; neither can be written as JSON.
            at = double.IsFinite(loss) && double.IsFinite(norm)
                ? at with { Step = at.Step + 1, LossSum = at.LossSum + loss, NllSum = at.NllSum + nll, Summed = at.Summed + 1, Broken = 0 }
                : at with { Step = at.Step + 1, Broken = at.Broken + 1 };
            if (at.Broken == 1)
                Warn(at, "not_a_number", "The loss is not a number: such steps are left out, and twenty in a row end the run. A lower learningRate or precision float32 may help.");
            if (at.Broken == 20)
                throw new CollapsedException("The loss is not a number for 20 steps: lower learningRate, or set precision to float32.");
            progress.Advance(1, $"loss {at.Loss:F3}");
            if (Stopwatch.GetElapsedTime(reported).TotalSeconds >= 5)
            {
                reported = Stopwatch.GetTimestamp();
                long last = at.StageStep + stage.Steps, later = stages.Skip(at.Stage + 1).Sum(s => s.Steps);
                double left = (last + later - at.Step) / Math.Max(progress.Rate, 1e-9);
                if (events.WriteOnce("progress", at.Step, new { stage = "training", method = stage.Name, step = at.Step, steps = last + later, epoch = epoch + 1, loss = at.Loss, stepsPerSecond = progress.Rate, secondsLeft = Math.Round(TimeLeft(left, at)) }))
                    charts.Add(at.Step, Chart(stage, "step", at.Loss));
            }

            // Only a budget makes a run depend on the clock.
            if (job.BudgetMinutes is { } minutes)
                at = at with { Seconds = spent + Stopwatch.GetElapsedTime(began).TotalSeconds, OutOfTime = at.Seconds >= minutes * 60 };
            bool ends = inEpoch == stage.StepsPerEpoch - 1 || at.OutOfTime;
            if (ends)
            {
                if (at.OutOfTime)
                    Warn(at, "out_of_time", $"The budget of {job.BudgetMinutes} minutes is spent in epoch {epoch + 1} of {epochs}: the best epoch so far is the model.");
                at = EndOfEpoch(decoder, adam, validation, devCaptions, dataset.Dev, tokenizer, charts, at, stage, epoch + 1, Math.Log(vocabulary.Count));
            }
            if (ends || stop.IsCancellationRequested || Stopwatch.GetElapsedTime(saved).TotalSeconds >= _options.CheckpointSeconds)
            {
                Checkpoint.Save(folder, decoder, adam, at);
                events.WriteOnce("checkpoint", at.Step, new { step = at.Step });
                saved = Stopwatch.GetTimestamp();
                if (ends)
                    Checkpoint.KeepOnly(folder, at.BestEpoch);
                if (at.Useless is { } advice)
                    throw new CollapsedException(advice);
                stop.ThrowIfCancellationRequested();
            }
        }

        Steps = at.Step;

        // 4. The best epoch's weights become the model.
        if (at.Useless is { } why)
            throw new CollapsedException(why);
        ModelBundle.LoadWeights(decoder, Checkpoint.BestPath(folder, at.BestEpoch));
        string model = Path.Combine(folder, "model");
        ModelBundle.Save(model, new ModelCard
        {
            Name = job.Name,
            Version = job.Version,
            Language = job.Language,
            Decoder = decoder.Options,
            EncoderSha256 = features.SingleVector ? null : ModelBundle.FileSha256(encoder),
            Scores = at.BestScores,
            Training = new Dictionary<string, JsonElement>
            {
                ["photos"] = JsonSerializer.SerializeToElement(dataset.Train.Count),
                ["captions"] = JsonSerializer.SerializeToElement(captions.Sum(c => c.Length)),
                ["devPhotos"] = JsonSerializer.SerializeToElement(dataset.Dev.Count),
                ["epoch"] = JsonSerializer.SerializeToElement(at.BestEpoch),
                ["baseModel"] = JsonSerializer.SerializeToElement(baseModel is null ? null : $"{baseModel.Card.Name}@{baseModel.Card.Version}"),
                ["options"] = JsonSerializer.SerializeToElement(_options, TrainingEvent.Json),
            },
        }, vocabulary, decoder, baseModel?.EncoderPath);
        return Calibrator.Apply(model, model, dataset, features, devFeatures, progress, stop).Card;
    }

    private void CheckBase(ModelCard? card, string encoder)
    {
        if (card is null)
            return;
        if (!Tokenizer.SameLanguage(card.Language, job.Language))
            throw new DatasetException($"The base model '{card.Name}' writes '{card.Language}', the captions are '{job.Language}': both must be of one language.");
        if (card.EncoderSha256 is { } expected && !string.Equals(expected, ModelBundle.FileSha256(encoder), StringComparison.OrdinalIgnoreCase))
            throw new DatasetException($"The base model '{card.Name}' was trained on other encoder weights than those that are here.");
    }

    private static void Copy(CaptionDecoder from, CaptionDecoder to)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var weights = from.state_dict();
        foreach (var (name, parameter) in to.state_dict())
            parameter.copy_(weights[name]);
    }

    private static double UnknownShare(int[][][] captions) =>
        (double)captions.Sum(p => p.Sum(c => c.Count(w => w == Vocabulary.Unknown))) / captions.Sum(p => p.Sum(c => c.Length));

    private double TimeLeft(double steps, Position at) => job.BudgetMinutes is { } minutes ? Math.Min(steps, Math.Max(0, minutes * 60 - at.Seconds)) : steps;

    private void Warn(Position at, string code, string message)
    {
        events.WriteOnce("warning", at.Step, new { step = at.Step, code, message }, code);
        progress.Say(message);
    }

    /// <summary>The best epoch's weights, and an optimiser that remembers nothing, begin the next stage; on the disk before its first step.</summary>
    private Position NextStage(CaptionDecoder decoder, Adam adam, Position at, Stage done)
    {
        if (at.BestEpoch > 0)
            ModelBundle.LoadWeights(decoder, Checkpoint.BestPath(folder, at.BestEpoch));
        adam.Restart();
        at = at with { Stage = at.Stage + 1, StageStep = at.Step, StageEpoch = EpochsDone(at, done), StageOver = false, LossSum = 0, NllSum = 0, Summed = 0, FirstLoss = 0, LastLoss = 0, Rising = 0, Same = 0 };
        Checkpoint.Save(folder, decoder, adam, at);
        return at;
    }

    /// <summary>The loss of self-critical training is the negative reward, which has a chart of its own.</summary>
    private static (string, double) Chart(Stage? stage, string name, double loss) => stage is SelfCriticalStage ? ($"reward/{name}", -loss) : ($"loss/{name}", loss);

    private static int EpochsDone(Position at, Stage stage) => at.StageEpoch + (int)((at.Step - at.StageStep) / stage.StepsPerEpoch);

    private Position EndOfEpoch(CaptionDecoder decoder, Adam adam, Validation validation, int[][][] devCaptions,
        IReadOnlyList<CaptionedPhoto> dev, Tokenizer tokenizer, Charts charts, Position at, Stage stage, int epoch, double guessing)
    {
        using var average = adam.UseAverage();
        var scores = Validate(decoder, validation, devCaptions, dev, tokenizer, charts, at, epoch, stage);
        if (scores.Cider > at.BestCider)
        {
            Checkpoint.SaveBest(folder, decoder, epoch);
            at = at with { BestCider = scores.Cider, BestEpoch = epoch, BestScores = scores.Figures };
        }
        at = stage is SelfCriticalStage ? Collapse.JudgeReward(at, scores, Warn) : Collapse.Judge(at, scores, guessing, Warn);
        return at with { LossSum = 0, NllSum = 0, Summed = 0 };
    }

    private Scores Validate(CaptionDecoder decoder, Validation validation, int[][][] devCaptions,
        IReadOnlyList<CaptionedPhoto> dev, Tokenizer tokenizer, Charts charts, Position at, int epoch, Stage? stage = null)
    {
        decoder.eval();
        Scores scores;
        using (var frozen = decoder.Freeze(decoder.ComputeType))
            scores = validation.Run(frozen, validation.Search with { Width = _options.ValidationBeamWidth });
        double devLoss = validation.Loss(decoder, devCaptions, _options.BatchPhotos);
        // Before the first epoch there is no loss of training yet.
        double? loss = epoch == 0 ? null : at.Loss, nll = epoch == 0 ? null : at.Nll;
        var samples = dev.Take(8).Select((p, i) => new { photo = p.Name, caption = tokenizer.Detokenize(scores.Captions[i]) }).ToArray();
        if (events.WriteOnce("epoch", at.Step, new { step = at.Step, epoch, method = stage?.Name, loss, negativeLogLikelihood = nll, devNegativeLogLikelihood = devLoss, scores = scores.Figures, samples }))
            charts.Add(at.Step, [Chart(stage, "train", loss ?? double.NaN), ("loss/dev", devLoss), .. scores.Figures.Select(f => ("dev/" + f.Key, f.Value))]);
        progress.Say($"epoch {epoch}: loss {loss:F3}  dev nll {devLoss:F3}  {scores}");
        return scores;
    }

    /// <summary>No better epoch for long; every stage gets that long.</summary>
    private bool Stale(Position at, Stage stage) => EpochsDone(at, stage) - Math.Max(at.BestEpoch, at.StageEpoch) >= _options.Patience;

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
