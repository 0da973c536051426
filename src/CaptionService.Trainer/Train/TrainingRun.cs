using System.Text.Json;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Calibrate;
using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

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
        // 1. Photos, captions and words of each language.
        var dataset = Dataset.Load(job.Data, folder);
        using var baseModel = BaseModel.Load(folder, job);
        LanguageTask[] languages =
        [
            new(job.Name, job.Language, Path.Combine(folder, "model"), dataset, _options, baseModel?.Vocabulary),
            .. job.OtherLanguages.Select(other => new LanguageTask(other.Name, other.Language, Path.Combine(folder, $"model-{other.Language}"), Dataset.Load(other.Sources(job), folder), _options, null)),
        ];
        var main = languages[0];
        try
        {
            Announce(languages, baseModel);

            // 2. Their features.
            var encoding = Encoding(baseModel);
            OpenFeatures(languages, encoding);

            // 3. The network, what the other languages share of it, and the encoder's last block where it learns too.
            var network = Network(baseModel, main);
            using var encoder = LastBlock(main.Augmentations.Original, encoding);
            foreach (var language in languages)
                language.Attach(encoder);
            manual_seed(_options.Seed);
            CreateDecoders(languages, network, baseModel);
            using var teachers = new Teachers(folder, job.Teachers, main, encoding);
            using var start = baseModel is null || _options.GiveUp == 0 ? null
                : new WeightInterpolation(BaseModel.WithRowsOf(baseModel.Decoder, LanguageTask.Parameters(languages)));

            // 4. Training.
            Position end;
            using (var loop = new TrainingLoop(folder, job, languages, baseModel, teachers, progress, events, stop))
                end = loop.Run();
            Steps = end.Step;
            if (end.Useless is { } why)
                throw new CollapsedException(why);

            // 5. The best epoch's weights become the models; the job's own is saved last, since it ends the job.
            foreach (var other in languages[1..])
                SaveModel(other, end, encoding, baseModel, teachers, null);
            return SaveModel(main, end, encoding, baseModel, teachers, start);
        }
        finally
        {
            foreach (var language in languages[1..].Append(main))
                language.Dispose();
        }
    }

    private void Announce(LanguageTask[] languages, ModelBundle? baseModel)
    {
        var main = languages[0];
        var dataset = main.Dataset;
        events.WriteOnce("started", 0, new
        {
            step = 0,
            trainPhotos = dataset.Train.Count,
            devPhotos = dataset.Dev.Count,
            captions = main.Captions.Sum(c => c.Length),
            vocabulary = main.Vocabulary.Count,
            unknownWords = (double)main.Captions.Sum(p => p.Sum(c => c.Count(w => w == Vocabulary.Unknown))) / main.Captions.Sum(p => p.Sum(c => c.Length)),
            sources = dataset.Sources.Select(s => new
            {
                name = s.Name,
                weight = s.Weight,
                trust = s.ModelWritten ? DataSource.ModelWritten : DataSource.Human,
                trainPhotos = s.Train.GetOffsetAndLength(dataset.Train.Count).Length,
                devPhotos = s.Dev.GetOffsetAndLength(dataset.Dev.Count).Length,
            }),
            baseModel = BaseModel.Reference(baseModel),
            companions = job.OtherLanguages.Select(other => other.Language),
            options = _options,
        });
        foreach (var l in languages)
            progress.Say($"{l.Language}: {l.Dataset.Train.Count} training photos, {l.Dataset.Dev.Count} development photos, {l.Captions.Sum(c => c.Length)} captions, {l.Vocabulary.Count} words");
        if (dataset.Leaked > 0)
        {
            string leaks = $"{dataset.Leaked} training photos are left out: another source has the same file among its development or test photos.";
            events.Warn(0, "leaks", leaks);
            progress.Say(leaks);
        }
    }

    /// <summary>The base model's encoding, or the default one; up to pool4 where the last block learns; with another model's change of it where the job names one.</summary>
    private PhotoEncoding Encoding(ModelBundle? baseModel)
    {
        var encoding = PhotoEncoding.Of(baseModel) with { Pool4 = _options.EncoderRank > 0 };
        if (job.Adapter is null)
            return encoding;
        using var bundle = ModelBundle.Load(Path.Combine(folder, job.Adapter));
        return encoding with
        {
            AdapterPath = bundle.AdapterPath ?? throw new DatasetException($"The model '{bundle.Card.Name}' has changed nothing of the encoder: adapter must name one that has."),
        };
    }

    private void OpenFeatures(LanguageTask[] languages, PhotoEncoding encoding)
    {
        progress.Report = () => events.Write("progress", new { stage = progress.Stage, done = progress.Done, total = progress.Total, perSecond = progress.Rate, secondsLeft = Math.Round(progress.Left.TotalSeconds) });
        foreach (var language in languages)
            language.Open(Path.Combine(folder, job.Features), encoding, _options, progress, stop);
        progress.Report = null;
    }

    /// <summary>The base model's network, or the one that the options describe; with the vocabulary of the run.</summary>
    private DecoderOptions Network(ModelBundle? baseModel, LanguageTask main)
    {
        var features = main.Augmentations.Original;
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
        return network;
    }

    /// <summary>The encoder's last block where it learns: it goes on from what the base model has learnt of it. Given features have no encoder.</summary>
    private TunedEncoder? LastBlock(FeatureSource features, PhotoEncoding encoding)
    {
        if (_options.FreezeDecoder && features.SingleVector)
            throw new DatasetException("The data set has vectors and no photos, so there is nothing to learn of the encoder: set freezeDecoder to false.");
        if (_options.EncoderRank == 0 || features.SingleVector)
            return null;
        manual_seed(_options.Seed);
        return new TunedEncoder(encoding.EncoderPath, encoding.AdapterPath is { } path ? EncoderAdapter.Load(path) : new EncoderAdapter(_options.EncoderRank));
    }

    private static void CreateDecoders(LanguageTask[] languages, DecoderOptions network, ModelBundle? baseModel)
    {
        var main = languages[0];
        main.Decoder = CaptionDecoder.Create(network);
        if (baseModel is not null)
            BaseModel.CopyWeights(baseModel.Decoder, main.Decoder);
        main.Decoder.to(TorchRuntime.Device);
        foreach (var other in languages[1..])
        {
            other.Decoder = main.Decoder.ForWords(other.Vocabulary.Count);
            other.Decoder.to(TorchRuntime.Device);
        }
    }

    /// <summary>Saves the best epoch of a language as a model, moved back towards the base model where the options say so, and calibrates it.</summary>
    private ModelCard SaveModel(LanguageTask language, Position end, PhotoEncoding encoding, ModelBundle? baseModel, Teachers teachers, WeightInterpolation? start)
    {
        var best = end.BestOf(language);
        Checkpoint.LoadBest(folder, language, best.Epoch);
        double share = 1;
        if (start is not null)
        {
            Scores scores = null!;
            (share, double before, double learnt, double now) = start.MoveBack(_options.GiveUp, () => (scores = EpochValidation.Search(language, _options).Mean).Cider);
            best = share < 1 ? best with { Scores = scores.Figures } : best;
            events.WriteOnce("moved-back", end.Step, new { step = end.Step, share, ciderBefore = before, ciderLearnt = learnt, cider = now });
            progress.Say($"{100 * share:F1} % of the way from the base model: CIDEr {100 * now:F1}, of {100 * before:F1} before and {100 * learnt:F1} at its end");
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
                ["baseModel"] = JsonSerializer.SerializeToElement(BaseModel.Reference(baseModel)),
                ["teachers"] = JsonSerializer.SerializeToElement(teachers.Names),
                ["learntWith"] = JsonSerializer.SerializeToElement(job.OtherLanguages.Select(other => other.Language).Prepend(job.Language).Where(l => l != language.Language)),
                ["options"] = JsonSerializer.SerializeToElement(_options, TrainingEvent.Json),
            },
        }, language.Vocabulary, language.Decoder, baseModel?.EncoderPath, language.Encoder?.Adapter ?? kept);
        return Calibrator.Apply(language.Folder, language.Folder, language.Dataset, language.TrainFeatures, language.DevFeatures, _options.Seed, progress, stop).Card;
    }
}
