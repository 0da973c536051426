using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Trainer;

/// <summary>Training that cannot lead anywhere any more; the message says why and what to change.</summary>
public sealed class CollapsedException(string message) : Exception(message);

/// <summary>One training run, from the job's folder to a model bundle in it. The same folder again goes on from the checkpoint.</summary>
internal sealed class TrainingRun(string folder, JobFile job, Progress progress, EventWriter events, CancellationToken stop)
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
        using var baseModel = job.BaseModel is { } start ? ModelBundle.Load(Path.Combine(folder, start)) : null;
        var encoding = PhotoEncoding.Of(baseModel) with { Pool4 = _options.EncoderRank > 0 };
        if (job.Adapter is { } other)
            encoding = encoding with { AdapterPath = AdapterOf(Path.Combine(folder, other)) };
        string encoder = encoding.EncoderPath;
        CheckBase(baseModel?.Card, encoder);
        LearntLanguage[] languages =
        [
            new(job.Name, job.Language, Path.Combine(folder, "model"), dataset, _options, baseModel?.Vocabulary),
            .. job.Companions.Select(c => new LearntLanguage(c.Name, c.Language, Path.Combine(folder, $"model-{c.Language}"), Dataset.Load(c.Sources(job), folder), _options, null)),
        ];
        var main = languages[0];
        events.WriteOnce("started", 0, new
        {
            step = 0,
            trainPhotos = dataset.Train.Count,
            devPhotos = dataset.Dev.Count,
            captions = main.Captions.Sum(c => c.Length),
            vocabulary = main.Vocabulary.Count,
            unknownWords = UnknownShare(main.Captions),
            sources = dataset.Sources.Select(s => new { name = s.Name, weight = s.Weight, trust = s.ModelWritten ? DataSource.ModelWritten : DataSource.Human, trainPhotos = s.Train.GetOffsetAndLength(dataset.Train.Count).Length, devPhotos = s.Dev.GetOffsetAndLength(dataset.Dev.Count).Length }),
            baseModel = baseModel is null ? null : $"{baseModel.Card.Name}@{baseModel.Card.Version}",
            companions = job.Companions.Select(c => c.Language),
            options = _options,
        });
        foreach (var l in languages)
            progress.Say($"{l.Language}: {l.Dataset.Train.Count} training photos, {l.Dataset.Dev.Count} development photos, {l.Captions.Sum(c => c.Length)} captions, {l.Vocabulary.Count} words");

        if (dataset.Leaked > 0)
            Warn(new Position(), "leaks", $"{dataset.Leaked} training photos are left out: another source has the same file among its development or test photos.");

        string cache = Path.Combine(folder, job.Features);
        progress.Report = () => events.Write("progress", new { stage = progress.Stage, done = progress.Done, total = progress.Total, perSecond = progress.Rate, secondsLeft = Math.Round(progress.Left.TotalSeconds) });
        foreach (var l in languages)
            l.Open(cache, encoding, _options, progress, stop);
        progress.Report = null;
        var features = main.Views.Upright;

        var network = baseModel is not null ? baseModel.Decoder.Options with { VocabularySize = main.Vocabulary.Count } : new DecoderOptions
        {
            Architecture = _options.Architecture,
            VocabularySize = main.Vocabulary.Count,
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

        // 2. The network, what each companion shares of it, and what is learnt of the encoder.
        using var tuned = Tuned(features, encoding);
        foreach (var l in languages)
            l.See(tuned);
        manual_seed(_options.Seed);
        try
        {
            main.Decoder = CaptionDecoder.Create(network);
            if (baseModel is not null)
                Copy(baseModel.Decoder, main.Decoder);
            main.Decoder.to(TorchRuntime.Device);
            foreach (var companion in languages[1..])
            {
                companion.Decoder = main.Decoder.ForWords(companion.Vocabulary.Count);
                companion.Decoder.to(TorchRuntime.Device);
            }
            using var teachers = new Teachers(folder, job.Teachers, main, encoding);
            using var back = baseModel is null || _options.GiveUp == 0 ? null
                : new WeightInterpolation(WithRowsOf(baseModel.Decoder, Parameters(languages)));
            Position at = Learn(languages, baseModel, teachers);

            // 5. The best epoch's weights become the model; of the companions too, before that which ends the job.
            Steps = at.Step;
            if (at.Useless is { } why)
                throw new CollapsedException(why);
            foreach (var companion in languages[1..])
                Finish(companion, at, encoding, baseModel, teachers, null);
            return Finish(main, at, encoding, baseModel, teachers, back);
        }
        finally
        {
            foreach (var l in languages[1..].Append(main))
                l.Dispose();
        }
    }

    /// <summary>From the checkpoint, if there is one, until nothing is left to do.</summary>
    private Position Learn(LearntLanguage[] languages, ModelBundle? baseModel, Teachers teachers)
    {
        // 3. Optimiser and position.
        if (_options.FreezeDecoder)
        {
            foreach (var parameter in languages.SelectMany(l => l.Decoder.parameters()))
                parameter.requires_grad_(false);
        }
        using var adam = new Adam(Parameters(languages).Where(p => p.Item2.requires_grad), _options.Beta1, _options.Beta2, _options.WeightAverage);
        string jobDigest = DigestOf(job, baseModel);
        var resumed = Checkpoint.Load(folder, adam, jobDigest);
        var at = resumed ?? new Position { Job = jobDigest };
        at = at with { Precision = Precision(at.Precision, TorchRuntime.Device) };
        foreach (var l in languages)
        {
            l.Decoder.Dropout = _options.Dropout;
            l.Decoder.ComputeType = at.Precision == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;
        }
        languages[0].Encoder?.Prepare(languages[0].Decoder.ComputeType);
        if (resumed is null)
            Checkpoint.Save(folder, adam, at);         // killed before its first checkpoint, a run keeps the number format that was measured
        using var charts = new Charts(Path.Combine(folder, "tensorboard"));
        if (at.Step > 0)
        {
            progress.Say($"resumed at step {at.Step}");
            events.Write("resumed", new { step = at.Step, attempt = job.Attempt });
        }
        else if (baseModel is not null)
        {
            // What the base model says of the same photos, before anything is learnt.
            Validate(languages[0], charts, at, 0);
        }

        // 4. Steps.
        Stage[] stages =
        [
            new CrossEntropyStage([.. languages.Select(l => l.Lesson)], adam, _options, teachers),
            .. _options.SelfCriticalEpochs > 0 ? languages.Select(l => new SelfCriticalStage(l.Lesson, adam, _options)) : [],
        ];
        double spent = at.Seconds;
        long began = Stopwatch.GetTimestamp(), saved = began, reported = began;
        IReadOnlyList<(Lesson Lesson, int[] Items)> steps = [];
        while (!at.OutOfTime)
        {
            var stage = stages[at.Stage];
            long inStage = at.Step - at.StageStep;
            if (inStage >= stage.Steps || at.StageOver || Stale(at, stage, Taught(at)))
            {
                if (at.Stage == stages.Length - 1)
                    break;
                at = NextStage(adam, at, stage, Taught(at with { Stage = at.Stage + 1 }));
                progress.Say($"{stages[at.Stage].Name} training of {Taught(at)[0].Language}, from epoch {at.BestOf(Taught(at)[0]).Epoch}");
                steps = [];
                continue;
            }
            var (inStageEpoch, inEpoch) = stage.At(inStage);
            int epoch = at.StageEpoch + inStageEpoch, stepsOfEpoch = stage.StepsOf[inStageEpoch], epochs = at.StageEpoch + stage.Options.Epochs;
            if (steps.Count == 0 || inEpoch == 0)
            {
                steps = stage.Epoch(inStageEpoch, at.StageEpoch);
                progress.Begin($"epoch {epoch + 1}/{epochs}", stepsOfEpoch, inEpoch);
                foreach (var l in languages)
                    l.Decoder.train();
            }
            var (loss, nll, norm) = stage.Step(steps[inEpoch].Lesson, steps[inEpoch].Items, at.Step, inStage);

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
            bool ends = inEpoch == stepsOfEpoch - 1 || at.OutOfTime;
            if (ends)
            {
                if (at.OutOfTime)
                    Warn(at, "out_of_time", $"The budget of {job.BudgetMinutes} minutes is spent in epoch {epoch + 1} of {epochs}: the best epoch so far is the model.");
                at = EndOfEpoch(Taught(at), adam, charts, at, stage, epoch + 1);
            }
            if (ends || stop.IsCancellationRequested || Stopwatch.GetElapsedTime(saved).TotalSeconds >= _options.CheckpointSeconds)
            {
                Checkpoint.Save(folder, adam, at);
                events.WriteOnce("checkpoint", at.Step, new { step = at.Step });
                saved = Stopwatch.GetTimestamp();
                if (ends)
                    Array.ForEach(languages, l => Checkpoint.KeepOnly(folder, l, at.BestOf(l).Epoch));
                if (at.Useless is { } advice)
                    throw new CollapsedException(advice);
                stop.ThrowIfCancellationRequested();
            }
        }

        return at;

        // The languages of a stage: the first teaches all, each of the others one.
        LearntLanguage[] Taught(Position at) => at.Stage == 0 ? languages : [languages[at.Stage - 1]];
    }

    private ModelCard Finish(LearntLanguage language, Position at, PhotoEncoding encoding, ModelBundle? baseModel, Teachers teachers, WeightInterpolation? back)
    {
        var best = at.BestOf(language);
        Checkpoint.LoadBest(folder, language, best.Epoch);
        double share = 1;
        if (back is not null)
        {
            Scores scores = null!;
            (share, double start, double learnt, double now) = back.MoveBack(_options.GiveUp, () => (scores = Search(language).Mean).Cider);
            best = share < 1 ? best with { Scores = scores.Figures } : best;
            events.WriteOnce("moved-back", at.Step, new { step = at.Step, share, ciderBefore = start, ciderLearnt = learnt, cider = now });
            progress.Say($"{100 * share:F1} % of the way from the base model: CIDEr {100 * now:F1}, of {100 * start:F1} before and {100 * learnt:F1} at its end");
        }
        using var kept = language.Encoder is null && encoding.AdapterPath is { } path ? EncoderAdapter.Load(path) : null;
        BundleWriter.Save(language.Folder, new ModelCard
        {
            Name = language.Model,
            Version = job.Version,
            Language = language.Language,
            Decoder = language.Decoder.Options,
            EncoderSha256 = language.DevFeatures.SingleVector ? null : Sha256.OfFile(encoding.EncoderPath),
            Scores = best.Scores,
            Training = new Dictionary<string, JsonElement>
            {
                ["photos"] = JsonSerializer.SerializeToElement(language.Dataset.Train.Count),
                ["captions"] = JsonSerializer.SerializeToElement(language.Captions.Sum(c => c.Length)),
                ["devPhotos"] = JsonSerializer.SerializeToElement(language.Dataset.Dev.Count),
                ["epoch"] = JsonSerializer.SerializeToElement(best.Epoch),
                ["shareOfTheWay"] = JsonSerializer.SerializeToElement(share),
                ["baseModel"] = JsonSerializer.SerializeToElement(baseModel is null ? null : $"{baseModel.Card.Name}@{baseModel.Card.Version}"),
                ["teachers"] = JsonSerializer.SerializeToElement(teachers.Names),
                ["learntWith"] = JsonSerializer.SerializeToElement(job.Companions.Select(c => c.Language).Prepend(job.Language).Where(l => l != language.Language)),
                ["options"] = JsonSerializer.SerializeToElement(_options, TrainingEvent.Json),
            },
        }, language.Vocabulary, language.Decoder, baseModel?.EncoderPath, language.Encoder?.Adapter ?? kept);
        return Calibrator.Apply(language.Folder, language.Folder, language.Dataset, language.TrainFeatures, language.DevFeatures, _options.Seed, progress, stop).Card;
    }

    /// <summary>The encoder's last block, where it is learnt: on from what the base model has learnt of it. Given features have no encoder.</summary>
    private TunedEncoder? Tuned(FeatureSource features, PhotoEncoding encoding)
    {
        if (_options.FreezeDecoder && features.SingleVector)
            throw new DatasetException("The data set has vectors and no photos, so there is nothing to learn of the encoder: set freezeDecoder to false.");
        if (_options.EncoderRank == 0 || features.SingleVector)
            return null;
        manual_seed(_options.Seed);
        return new TunedEncoder(encoding.EncoderPath, encoding.AdapterPath is { } path ? EncoderAdapter.Load(path) : new EncoderAdapter(_options.EncoderRank));
    }

    /// <summary>The weights of the network, each companion's words, and what is learnt of the encoder.</summary>
    private static IEnumerable<(string, Parameter)> Parameters(LearntLanguage[] languages)
    {
        var shared = languages[0].Decoder.named_parameters().ToArray();
        var encoder = languages[0].Encoder?.Adapter.named_parameters().Select(p => (Checkpoint.Encoder + p.name, p.parameter)) ?? [];
        return [.. shared, .. encoder, .. languages[1..].SelectMany(l => l.Decoder.named_parameters()
            .Where(own => !shared.Any(s => ReferenceEquals(s.parameter, own.parameter)))
            .Select(own => ($"{l.Language}.{own.name}", own.parameter)))];
    }

    /// <summary>What a checkpoint depends on. What came later is left out where it is not used, so that older checkpoints are resumed.</summary>
    private static string DigestOf(JobFile job, ModelBundle? baseModel)
    {
        object data = job.Data is [{ Name: null, Weight: 1, Trust: DataSource.Human } one] ? new { one.Photos, one.Captions, one.Train, one.Dev } : job.Data;
        var all = JsonSerializer.SerializeToNode(new { job.Language, Data = data, job.Companions, job.Teachers, job.Options, Base = baseModel?.Card.Digest })!.AsObject();
        var options = all[nameof(job.Options)]!.AsObject();
        if (!job.Options.NewWords)
            options.Remove(nameof(TrainingOptions.NewWords));
        if (job.Options.GiveUp == 0)
            options.Remove(nameof(TrainingOptions.GiveUp));
        if (job.Adapter is not null)
            all[nameof(job.Adapter)] = job.Adapter;
        return Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(all)));
    }

    private static string AdapterOf(string model)
    {
        using var bundle = ModelBundle.Load(model);
        return bundle.AdapterPath ?? throw new DatasetException($"The model '{bundle.Card.Name}' has changed nothing of the encoder: adapter must name one that has.");
    }

    /// <summary>Each weight with the number of its rows that the base model has: all, or of the words' weights those of its words.</summary>
    private static (Parameter, long)[] WithRowsOf(CaptionDecoder start, IEnumerable<(string Name, Parameter Weight)> weights)
    {
        using var scope = NewDisposeScope();
        var known = start.state_dict();
        return [.. weights.Select(w => (w.Weight, known.TryGetValue(w.Name, out var its) ? its.shape[0] : w.Weight.shape[0]))];
    }

    private void CheckBase(ModelCard? card, string encoder)
    {
        if (card is null)
            return;
        if (!Tokenizer.SameLanguage(card.Language, job.Language))
            throw new DatasetException($"The base model '{card.Name}' writes '{card.Language}', the captions are '{job.Language}': both must be of one language.");
        if (card.EncoderSha256 is { } expected && !string.Equals(expected, Sha256.OfFile(encoder), StringComparison.OrdinalIgnoreCase))
            throw new DatasetException($"The base model '{card.Name}' was trained on other encoder weights than those that are here.");
    }

    private static void Copy(CaptionDecoder from, CaptionDecoder to)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var weights = from.state_dict();
        foreach (var (name, parameter) in to.state_dict())
        {
            // Words that are new to the model come after its own. They keep the weights that were drawn, and begin as improbable as its rarest.
            var known = weights[name];
            long words = known.shape[0], added = parameter.shape[0] - words;
            parameter.narrow(0, 0, words).copy_(known);
            if (added > 0 && known.dim() == 1)
                parameter.narrow(0, words, added).copy_(known.narrow(0, words - words / 10, words / 10).mean());
        }
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
    private Position NextStage(Adam adam, Position at, Stage done, LearntLanguage[] next)
    {
        foreach (var language in next.Where(l => at.BestOf(l).Epoch > 0))
            Checkpoint.LoadBest(folder, language, at.BestOf(language).Epoch);
        adam.Restart();
        at = at with { Stage = at.Stage + 1, StageStep = at.Step, StageEpoch = EpochsDone(at, done), StageOver = false, LossSum = 0, NllSum = 0, Summed = 0, FirstLoss = 0, LastLoss = 0, Rising = 0, Same = 0 };
        Checkpoint.Save(folder, adam, at);
        return at;
    }

    /// <summary>The loss of self-critical training is the negative reward, which has a chart of its own.</summary>
    private static (string, double) Chart(Stage? stage, string name, double loss) => stage is SelfCriticalStage ? ($"reward/{name}", -loss) : ($"loss/{name}", loss);

    private static int EpochsDone(Position at, Stage stage) => at.StageEpoch + stage.At(at.Step - at.StageStep).Epoch;

    private Position EndOfEpoch(LearntLanguage[] taught, Adam adam, Charts charts, Position at, Stage stage, int epoch)
    {
        using var average = adam.UseAverage();
        foreach (var language in taught.Reverse())
        {
            var scores = Validate(language, charts, at, epoch, stage);
            if (scores.Cider > at.BestOf(language).Cider)
            {
                Checkpoint.SaveBest(folder, language, epoch);
                at = at with { Best = new Dictionary<string, BestEpoch>(at.Best) { [language.Language] = new(epoch, scores.Cider, scores.Figures) } };
            }
            if (language == taught[0])          // of several, the signs are looked for in the job's own
                at = stage is SelfCriticalStage ? Collapse.JudgeReward(at, scores, at.BestOf(language).Cider, Warn) : Collapse.Judge(at, scores, Math.Log(language.Vocabulary.Count), Warn);
        }
        return at with { LossSum = 0, NllSum = 0, Summed = 0 };
    }

    private Scores Validate(LearntLanguage language, Charts charts, Position at, int epoch, Stage? stage = null)
    {
        var decoder = language.Decoder;
        var (each, scores) = Search(language);
        double devLoss = Validation.Loss(decoder, language.DevFeatures, language.DevCaptions, _options.BatchPhotos);
        // Before the first epoch there is no loss of training yet.
        double? loss = epoch == 0 ? null : at.Loss, nll = epoch == 0 ? null : at.Nll;
        // Eight photos, of several sources in turn.
        var samples = Enumerable.Range(0, 8).SelectMany(n => language.Dataset.Sources.Select(s => s.Dev).Where(dev => dev.Start.Value + n < dev.End.Value).Select(dev => dev.Start.Value + n)).Take(8)
            .Select(i => new { photo = language.Dataset.Dev[i].Name, caption = language.Tokenizer.Detokenize(scores.Written[i]) }).ToArray();
        (string Source, Scores Scores)[] apart = each.Length > 1 ? each : [];
        var sources = apart.Length == 0 ? null : apart.Select(s => new { name = s.Source, scores = s.Scores.Figures });
        if (events.WriteOnce("epoch", at.Step, new { step = at.Step, epoch, method = stage?.Name, language = language.Language, loss, negativeLogLikelihood = nll, devNegativeLogLikelihood = devLoss, scores = scores.Figures, sources, samples }, language.Language))
        {
            string dev = job.Companions.Count == 0 ? "dev" : $"dev-{language.Language}";
            charts.Add(at.Step, [Chart(stage, "train", loss ?? double.NaN), ($"loss/{dev}", devLoss), .. scores.Figures.Select(f => ($"{dev}/{f.Key}", f.Value)),
                .. apart.SelectMany(s => s.Scores.Figures.Select(f => ($"{dev}/{s.Source}/{f.Key}", f.Value)))]);
        }
        progress.Say($"epoch {epoch}, {language.Language}: loss {loss:F3}  dev nll {devLoss:F3}  {scores}");
        foreach (var (source, its) in apart)
            progress.Say($"  {source}: {its}");
        return scores;
    }

    private ((string Source, Scores Scores)[] Each, Scores Mean) Search(LearntLanguage language)
    {
        var decoder = language.Decoder;
        decoder.eval();
        using var frozen = decoder.Freeze(decoder.ComputeType);
        (string Source, Scores Scores)[] each = [.. language.Validations.Select(v => (v.Source, v.Validation.Run(frozen, new RankedSearch(v.Validation.Search with { Width = _options.ValidationBeamWidth }, ByRisk: false))))];
        return (each, Scores.Mean([.. each.Select(s => s.Scores)]));
    }

    /// <summary>No better epoch in any language for long; every stage gets that long.</summary>
    private bool Stale(Position at, Stage stage, LearntLanguage[] taught) => EpochsDone(at, stage) - Math.Max(taught.Max(l => at.BestOf(l).Epoch), at.StageEpoch) >= _options.Patience;

    private string Precision(string before, Device device) =>
        _options.Precision != "auto" ? _options.Precision
        : before.Length > 0 ? before
        : EncoderPrecision.Fastest(device).Type == ScalarType.BFloat16 ? "bfloat16" : "float32";
}
