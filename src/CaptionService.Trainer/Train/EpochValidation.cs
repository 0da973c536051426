using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Ranking;
using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer.Train;

/// <summary>Scores the decoder of a language on its development photos, and says so in events, charts and on the terminal.</summary>
internal sealed class EpochValidation(JobFile job, EventWriter events, Charts charts, Progress progress)
{
    private const int Samples = 8;      // captions shown in an event

    /// <summary>Scores and reports one epoch.</summary>
    /// <param name="language">The language.</param>
    /// <param name="at">Where the run is; its sums are still of the epoch.</param>
    /// <param name="epoch">1, 2, …; 0: the base model, before anything is learnt.</param>
    /// <param name="stage">The stage of the epoch; null: none yet.</param>
    public Scores Run(LanguageTask language, Position at, int epoch, Stage? stage)
    {
        var (bySource, scores) = Search(language, job.Options);
        double devLoss = Validation.Loss(language.Decoder, language.DevFeatures, language.DevCaptions, job.Options.BatchPhotos);
        // Before the first epoch there is no loss of training yet.
        double? loss = epoch == 0 ? null : at.Loss, nll = epoch == 0 ? null : at.Nll;
        (string Source, Scores Scores)[] apart = bySource.Length > 1 ? bySource : [];
        var sources = apart.Length == 0 ? null : apart.Select(s => new { name = s.Source, scores = s.Scores.Figures });
        var samples = SamplePhotos(language.Dataset).Select(i => new { photo = language.Dataset.Dev[i].Name, caption = language.Tokenizer.Detokenize(scores.Written[i]) }).ToArray();
        if (events.WriteOnce("epoch", at.Step, new
        {
            step = at.Step,
            epoch,
            method = stage?.Name,
            language = language.Language,
            loss,
            negativeLogLikelihood = nll,
            devNegativeLogLikelihood = devLoss,
            scores = scores.Figures,
            sources,
            samples,
        }, language.Language))
        {
            string dev = job.OtherLanguages.Count == 0 ? "dev" : $"dev-{language.Language}";
            charts.Add(at.Step,
            [
                Stage.Chart(stage, "train", loss ?? double.NaN), ($"loss/{dev}", devLoss), .. scores.Figures.Select(f => ($"{dev}/{f.Key}", f.Value)),
                .. apart.SelectMany(s => s.Scores.Figures.Select(f => ($"{dev}/{s.Source}/{f.Key}", f.Value))),
            ]);
        }
        progress.Say($"epoch {epoch}, {language.Language}: loss {loss:F3}  dev nll {devLoss:F3}  {scores}");
        foreach (var (source, its) in apart)
            progress.Say($"  {source}: {its}");
        return scores;
    }

    /// <summary>Searches and scores captions of the development photos, for each source and as the mean over sources.</summary>
    public static ((string Source, Scores Scores)[] BySource, Scores Mean) Search(LanguageTask language, TrainingOptions options)
    {
        var decoder = language.Decoder;
        decoder.eval();
        using var frozen = decoder.Freeze(decoder.ComputeType);
        (string Source, Scores Scores)[] bySource =
        [
            .. language.Validations.Select(v => (v.Source, v.Validation.Run(frozen, new RankedSearch(v.Validation.Search with { Width = options.ValidationBeamWidth }, ByRisk: false)))),
        ];
        return (bySource, Scores.Mean([.. bySource.Select(s => s.Scores)]));
    }

    /// <summary>A few development photos; of several sources in turn.</summary>
    private static IEnumerable<int> SamplePhotos(Dataset dataset) => Enumerable.Range(0, Samples)
        .SelectMany(n => dataset.Sources.Select(s => s.Dev).Where(dev => dev.Start.Value + n < dev.End.Value).Select(dev => dev.Start.Value + n))
        .Take(Samples);
}
