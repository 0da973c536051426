using System.Diagnostics;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>Steps and epochs of one stage after another, from the checkpoint, if there is one, until nothing is left to do.</summary>
internal sealed class TrainingLoop : IDisposable
{
    private readonly string _folder;
    private readonly JobFile _job;
    private readonly LanguageTask[] _languages;
    private readonly Progress _progress;
    private readonly EventWriter _events;
    private readonly CancellationToken _stop;
    private readonly Adam _adam;
    private readonly Charts _charts;
    private readonly EpochValidation _validation;
    private readonly Stage[] _stages;
    private readonly bool _startsFromModel;

    private Position _at;
    private long _saved, _reported;         // when

    private TrainingOptions Options => _job.Options;

    /// <summary>The languages of the stage: the first stage trains all, each of the others one.</summary>
    private LanguageTask[] Trained => _at.Stage == 0 ? _languages : [_languages[_at.Stage - 1]];

    /// <summary>Takes up the run where its checkpoint left it.</summary>
    /// <param name="folder">The job's folder.</param>
    /// <param name="job">The job.</param>
    /// <param name="languages">What learns; the job's own language first.</param>
    /// <param name="baseModel">The model that training starts from; null: none.</param>
    /// <param name="teachers">Models to learn from.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="events">Told of epochs, checkpoints and warnings.</param>
    /// <param name="stop">Ends the run after the step under way, with a checkpoint.</param>
    public TrainingLoop(string folder, JobFile job, LanguageTask[] languages, ModelBundle? baseModel, Teachers teachers, Progress progress, EventWriter events, CancellationToken stop)
    {
        (_folder, _job, _languages, _progress, _events, _stop) = (folder, job, languages, progress, events, stop);
        _startsFromModel = baseModel is not null;
        if (Options.FreezeDecoder)
        {
            foreach (var parameter in languages.SelectMany(l => l.Decoder.parameters()))
                parameter.requires_grad_(false);
        }
        _adam = new Adam(LanguageTask.Parameters(languages).Where(p => p.Parameter.requires_grad), Options.Beta1, Options.Beta2, Options.WeightAverage);
        string digest = JobDigest.Of(job, baseModel?.Card.Digest);
        var resumed = Checkpoint.Load(folder, _adam, digest);
        _at = resumed ?? new Position { Job = digest };
        _at = _at with { Precision = Precision(_at.Precision) };
        foreach (var l in languages)
        {
            l.Decoder.Dropout = Options.Dropout;
            l.Decoder.ComputeType = _at.Precision == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;
        }
        languages[0].Encoder?.Prepare(languages[0].Decoder.ComputeType);
        if (resumed is null)
            Checkpoint.Save(folder, _adam, _at);        // killed before its first checkpoint, a run keeps the number format that was measured
        _charts = new Charts(Path.Combine(folder, "tensorboard"));
        _validation = new EpochValidation(job, events, _charts, progress);
        _stages =
        [
            new CrossEntropyStage([.. languages.Select(l => l.Student)], _adam, Options, teachers),
            .. Options.SelfCriticalEpochs > 0 ? languages.Select(l => new SelfCriticalStage(l.Student, _adam, Options)) : [],
        ];
    }

    /// <returns>Where the run ended.</returns>
    /// <exception cref="OperationCanceledException">Asked to stop; a checkpoint is there.</exception>
    /// <exception cref="CollapsedException">Going on is useless.</exception>
    public Position Run()
    {
        if (_at.Step > 0)
        {
            _progress.Say($"resumed at step {_at.Step}");
            _events.Write("resumed", new { step = _at.Step, attempt = _job.Attempt });
        }
        else if (_startsFromModel)
        {
            // The base model's own scores, before anything is learnt.
            _validation.Run(_languages[0], _at, 0, null);
        }

        double spent = _at.Seconds;
        long began = _saved = _reported = Stopwatch.GetTimestamp();
        IReadOnlyList<(Student Student, int[] Items)> steps = [];
        while (!_at.OutOfTime)
        {
            var stage = _stages[_at.Stage];
            long inStage = _at.Step - _at.StageStep;
            if (inStage >= stage.Steps || _at.StageOver || Stale(stage))
            {
                if (_at.Stage == _stages.Length - 1)
                    break;
                NextStage(stage);
                steps = [];
                continue;
            }

            // 1. The epoch's steps, drawn anew where it begins or is resumed.
            var (inStageEpoch, inEpoch) = stage.At(inStage);
            int epoch = _at.StageEpoch + inStageEpoch, stepsOfEpoch = stage.StepsOf[inStageEpoch], epochs = _at.StageEpoch + stage.Options.Epochs;
            if (steps.Count == 0 || inEpoch == 0)
            {
                steps = stage.Epoch(inStageEpoch, _at.StageEpoch);
                _progress.Begin($"epoch {epoch + 1}/{epochs}", stepsOfEpoch, inEpoch);
                foreach (var l in _languages)
                    l.Decoder.train();
            }

            // 2. One step.
            var (loss, nll, norm) = stage.Step(steps[inEpoch].Student, steps[inEpoch].Items, _at.Step, inStage);
            Count(loss, nll, norm);
            _progress.Advance(1, $"loss {_at.Loss:F3}");
            Report(stage, epoch + 1);

            // 3. The end of the epoch. Only a budget makes a run depend on the clock.
            if (_job.BudgetMinutes is { } minutes)
                _at = _at with { Seconds = spent + Stopwatch.GetElapsedTime(began).TotalSeconds, OutOfTime = _at.Seconds >= minutes * 60 };
            bool ends = inEpoch == stepsOfEpoch - 1 || _at.OutOfTime;
            if (ends)
            {
                if (_at.OutOfTime)
                    Warn(_at, "out_of_time", $"The budget of {_job.BudgetMinutes} minutes is spent in epoch {epoch + 1} of {epochs}: the best epoch so far is the model.");
                EndEpoch(stage, epoch + 1);
            }

            // 4. A checkpoint.
            if (ends || _stop.IsCancellationRequested || Stopwatch.GetElapsedTime(_saved).TotalSeconds >= Options.CheckpointSeconds)
                Save(ends);
        }
        return _at;
    }

    /// <summary>Counts a step. Adam leaves out a step whose loss or gradient is not a number, and so do the means; neither can be written as JSON.</summary>
    private void Count(double loss, double nll, double norm)
    {
        _at = double.IsFinite(loss) && double.IsFinite(norm)
            ? _at with { Step = _at.Step + 1, LossSum = _at.LossSum + loss, NllSum = _at.NllSum + nll, Summed = _at.Summed + 1, Broken = 0 }
            : _at with { Step = _at.Step + 1, Broken = _at.Broken + 1 };
        if (_at.Broken == 1)
            Warn(_at, "not_a_number", "The loss is not a number: such steps are left out, and twenty in a row end the run. A lower learningRate or precision float32 may help.");
        if (_at.Broken == 20)
            throw new CollapsedException("The loss is not a number for 20 steps: lower learningRate, or set precision to float32.");
    }

    /// <summary>Every five seconds.</summary>
    private void Report(Stage stage, int epoch)
    {
        if (Stopwatch.GetElapsedTime(_reported).TotalSeconds < 5)
            return;
        _reported = Stopwatch.GetTimestamp();
        long steps = _at.StageStep + stage.Steps + _stages.Skip(_at.Stage + 1).Sum(s => s.Steps);
        double left = (steps - _at.Step) / Math.Max(_progress.Rate, 1e-9);
        if (_job.BudgetMinutes is { } minutes)
            left = Math.Min(left, Math.Max(0, minutes * 60 - _at.Seconds));
        if (_events.WriteOnce("progress", _at.Step, new { stage = "training", method = stage.Name, step = _at.Step, steps, epoch, loss = _at.Loss, stepsPerSecond = _progress.Rate, secondsLeft = Math.Round(left) }))
            _charts.Add(_at.Step, Stage.Chart(stage, "step", _at.Loss));
    }

    /// <summary>Validates the languages with the averaged weights, keeps the best epoch of each, and looks for signs of collapse.</summary>
    private void EndEpoch(Stage stage, int epoch)
    {
        using var average = _adam.UseAverage();
        var trained = Trained;
        foreach (var language in trained.Reverse())
        {
            var scores = _validation.Run(language, _at, epoch, stage);
            if (scores.Cider > _at.BestOf(language).Cider)
            {
                Checkpoint.SaveBest(_folder, language, epoch);
                _at = _at with { Best = new Dictionary<string, BestEpoch>(_at.Best) { [language.Language] = new(epoch, scores.Cider, scores.Figures) } };
            }
            if (language == trained[0])         // of several, the signs are looked for in the job's own
                _at = stage is SelfCriticalStage ? Collapse.JudgeReward(_at, scores, _at.BestOf(language).Cider, Warn) : Collapse.Judge(_at, scores, Math.Log(language.Vocabulary.Count), Warn);
        }
        _at = _at with { LossSum = 0, NllSum = 0, Summed = 0 };
    }

    private void Save(bool epochEnded)
    {
        Checkpoint.Save(_folder, _adam, _at);
        _events.WriteOnce("checkpoint", _at.Step, new { step = _at.Step });
        _saved = Stopwatch.GetTimestamp();
        if (epochEnded)
            Array.ForEach(_languages, l => Checkpoint.KeepOnly(_folder, l, _at.BestOf(l).Epoch));
        if (_at.Useless is { } advice)
            throw new CollapsedException(advice);
        _stop.ThrowIfCancellationRequested();
    }

    /// <summary>The next stage begins with the best epoch's weights and an empty optimiser, and is on the disk before its first step.</summary>
    private void NextStage(Stage done)
    {
        _at = _at with { Stage = _at.Stage + 1, StageStep = _at.Step, StageEpoch = EpochsDone(done), StageOver = false, LossSum = 0, NllSum = 0, Summed = 0, FirstLoss = 0, LastLoss = 0, Rising = 0, Same = 0 };
        foreach (var language in Trained.Where(l => _at.BestOf(l).Epoch > 0))
            Checkpoint.LoadBest(_folder, language, _at.BestOf(language).Epoch);
        _adam.Restart();
        Checkpoint.Save(_folder, _adam, _at);
        _progress.Say($"{_stages[_at.Stage].Name} training of {Trained[0].Language}, from epoch {_at.BestOf(Trained[0]).Epoch}");
    }

    private int EpochsDone(Stage stage) => _at.StageEpoch + stage.At(_at.Step - _at.StageStep).Epoch;

    /// <summary>Whether no language had a better epoch for long; every stage gets that long.</summary>
    private bool Stale(Stage stage) => EpochsDone(stage) - Math.Max(Trained.Max(l => _at.BestOf(l).Epoch), _at.StageEpoch) >= Options.Patience;

    private string Precision(string before) =>
        Options.Precision != "auto" ? Options.Precision
        : before.Length > 0 ? before
        : EncoderPrecision.Fastest(TorchRuntime.Device).Type == ScalarType.BFloat16 ? "bfloat16" : "float32";

    private void Warn(Position at, string code, string message)
    {
        _events.Warn(at.Step, code, message);
        _progress.Say(message);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _charts.Dispose();
        _adam.Dispose();
    }
}
