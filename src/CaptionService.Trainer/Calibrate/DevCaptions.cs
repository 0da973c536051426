using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp;

namespace CaptionService.Trainer.Calibrate;

/// <summary>A caption of a development photo, and whether it was right.</summary>
/// <param name="Photo">Which photo.</param>
/// <param name="First">Whether the photo is of the first half.</param>
/// <param name="Found">All hypotheses of the photo.</param>
/// <param name="Rank">Which of them it is, from 0.</param>
/// <param name="Right">Whether it is as close as the median human caption.</param>
internal sealed record JudgedCaption(int Photo, bool First, IReadOnlyList<RankedHypothesis> Found, int Rank, bool Right);

/// <summary>The captions of the development photos, searched as the service does by default.</summary>
internal sealed class DevCaptions
{
    private readonly ModelBundle _bundle;
    private readonly string[][][] _references;
    private readonly Cider<string> _cider;

    /// <summary>The hypotheses of each photo in the last search.</summary>
    public List<IReadOnlyList<RankedHypothesis>> Found { get; set; } = [];

    /// <summary>The search options.</summary>
    public RankedSearch Options { get; }

    /// <summary>The captions of the training photos, as ids.</summary>
    public int[][][] TrainIds { get; }

    public DevCaptions(ModelBundle bundle, Dataset dataset)
    {
        var tokenizer = Tokenizer.For(bundle.Card.Language);
        _bundle = bundle;
        _references = [.. dataset.Dev.Select(photo => photo.Captions.Select(caption => tokenizer.Tokenize(caption).ToArray()).ToArray())];
        _cider = new Cider<string>(_references);
        TrainIds = [.. dataset.Train.Select(photo => photo.Captions.Select(caption => bundle.Vocabulary.Encode(tokenizer.Tokenize(caption))).ToArray())];
        var options = new CaptionOptions();
        var defaults = RankedSearch.For(tokenizer, bundle.Vocabulary);
        Options = defaults with { Beams = defaults.Beams with { Width = options.BeamWidth, Count = options.BeamWidth, MaxLength = options.MaxLength, LengthNormalization = options.LengthNormalization } };
    }

    public void Search(FeatureSource dev, ExpectedCider? expected, Progress progress, CancellationToken stop)
    {
        _bundle.Decoder.to(TorchRuntime.Device);
        using var frozen = _bundle.Decoder.FreezeForService(EncoderPrecision.Fastest(TorchRuntime.Device).Type);      // as the service does
        progress.Begin("development captions", _references.Length);
        Found = new List<IReadOnlyList<RankedHypothesis>>(_references.Length);
        foreach (var found in dev.Search(frozen, Enumerable.Range(0, _references.Length), Options, expected))
        {
            stop.ThrowIfCancellationRequested();
            Found.Add(found);
            progress.Advance(1);
        }
    }

    /// <summary>CIDEr of the first captions.</summary>
    public double Cider() => Cider(Found);

    /// <summary>
    /// Orders what was found by the weight of what is expected that gives the best CIDEr; then words cost as much as leaves the first captions
    /// as long together as the human ones nearest in length, which are what BLEU compares lengths with.
    /// </summary>
    public RankingWeights Weigh()
    {
        double[] weights = [5, 10, 20, 50], costs = [0.05, 0.0375, 0.025, 0.0125];
        double weight = weights.MaxBy(weight => Cider(Ordered(new RankingWeights(weight, 0))));
        var chosen = costs.Select(cost => new RankingWeights(weight, cost)).Where(ranking => LongEnough(Ordered(ranking))).DefaultIfEmpty(new RankingWeights(weight, 0)).First();
        Found = Ordered(chosen);
        return chosen;
    }

    /// <summary>Every caption of the photos that have two human ones or more.</summary>
    public IEnumerable<JudgedCaption> Judged(Dataset dataset)
    {
        for (int photo = 0; photo < _references.Length; photo++)
        {
            if (_references[photo].Length < 2)
                continue;
            double needed = ConfidenceFit.MedianHuman(_cider, _references[photo]);
            bool first = ConfidenceFit.InFirstHalf(dataset.Dev[photo].Name);
            for (int rank = 0; rank < Found[photo].Count; rank++)
                yield return new JudgedCaption(photo, first, Found[photo], rank, CiderOf(Found[photo][rank], photo) >= needed);
        }
    }

    private List<IReadOnlyList<RankedHypothesis>> Ordered(RankingWeights ranking) => Found.ConvertAll<IReadOnlyList<RankedHypothesis>>(found => MinimumBayesRisk.Order(found, ranking));

    private double Cider(List<IReadOnlyList<RankedHypothesis>> captions) => captions.Select((found, photo) => found.Count == 0 ? 0 : CiderOf(found[0], photo)).Average();

    private bool LongEnough(List<IReadOnlyList<RankedHypothesis>> captions)
    {
        int written = 0, human = 0;
        for (int photo = 0; photo < captions.Count; photo++)
        {
            int length = captions[photo] is [var first, ..] ? first.Words.Length : 0;
            written += length;
            human += Bleu.ClosestLength(length, _references[photo]);
        }
        return written >= human;
    }

    private double CiderOf(RankedHypothesis hypothesis, int photo) => _cider.Score(_bundle.Vocabulary.Decode(hypothesis.Words), _references[photo]);
}
