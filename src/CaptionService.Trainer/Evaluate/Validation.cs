using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Evaluate;

/// <summary>Searches a caption for each photo of a split and scores it against people's.</summary>
internal sealed class Validation
{
    private readonly FeatureSource _features;
    private readonly IReadOnlyList<string>[][] _references;
    private readonly Cider<string> _cider;
    private readonly HashSet<string> _training;
    private readonly Vocabulary _vocabulary;

    /// <summary>The search options of the language, for callers to change.</summary>
    public BeamSearchOptions Search { get; }

    /// <param name="photos">The split.</param>
    /// <param name="features">Its features, row by row.</param>
    /// <param name="training">Captions of the training split, tokenised and joined by spaces.</param>
    /// <param name="vocabulary">The model's words.</param>
    /// <param name="tokenizer">The language's tokenizer.</param>
    public Validation(IReadOnlyList<CaptionedPhoto> photos, FeatureSource features, HashSet<string> training, Vocabulary vocabulary, Tokenizer tokenizer)
    {
        _features = features;
        _references = [.. photos.Select(p => p.Captions.Select(tokenizer.Tokenize).ToArray())];
        _cider = new Cider<string>(_references);
        _training = training;
        _vocabulary = vocabulary;
        Search = BeamSearchOptions.For(tokenizer, vocabulary);
    }

    /// <summary>Mean negative log-likelihood of people's captions, a word.</summary>
    /// <param name="decoder">In evaluation mode.</param>
    /// <param name="features">The photos' features.</param>
    /// <param name="captions">The captions of each photo, as ids.</param>
    /// <param name="batch">Photos together.</param>
    public static double Loss(CaptionDecoder decoder, FeatureSource features, int[][][] captions, int batch)
    {
        using var noGrad = no_grad();
        double sum = 0;
        long places = 0;
        foreach (int[] rows in Enumerable.Range(0, captions.Length).Chunk(batch))
        {
            using var scope = NewDisposeScope();
            using var packed = new PackedCaptions([.. rows.Select(r => captions[r])], TorchRuntime.Device);
            var pass = decoder.Forward(features.Rows(rows).to(TorchRuntime.Device), packed);
            var logP = decoder.Logits(pass.Outputs).to(ScalarType.Float32).log_softmax(-1);
            sum -= logP.gather(1, packed.Targets.unsqueeze(1)).sum().value();
            places += packed.Targets.shape[0];
        }
        return sum / places;
    }

    /// <summary>Scores a decoder.</summary>
    /// <param name="decoder">Ready for search.</param>
    /// <param name="search">How to search; the best hypothesis is scored, and of several how they differ.</param>
    /// <param name="expected">What the model expects people to say; null: nothing.</param>
    public Scores Run(FrozenDecoder decoder, RankedSearch search, ExpectedCider? expected = null)
    {
        var captions = new List<IReadOnlyList<string>>();
        var sets = new List<IReadOnlyList<string>[]>();
        var written = new List<IReadOnlyList<string>>();
        int unended = 0;
        foreach (var found in _features.Search(decoder, Enumerable.Range(0, _references.Length), search, expected))
        {
            if (found.Count == 0)
                throw new CollapsedException("The model's probabilities are not numbers: lower learningRate, or set precision to float32.");
            unended += found[0].Ended ? 0 : 1;
            sets.Add([.. found.Select(h => _vocabulary.Decode(h.Words))]);
            captions.Add(sets[^1][0]);
            written.Add(Array.ConvertAll(found[0].Words, _vocabulary.Display));
        }
        string[] sentences = [.. captions.Select(c => string.Join(' ', c))];
        double[] cider = [.. captions.Select((c, i) => _cider.Score(c, _references[i]))];
        return new Scores(
            Bleu.Corpus(captions, _references),
            cider.Average(),
            captions.Select((c, i) => RougeL.Score(c, _references[i])).Average(),
            captions.Average(c => c.Count),
            (double)sentences.Distinct().Count() / sentences.Length,
            (double)sentences.Count(_training.Contains) / sentences.Length,
            unended,
            captions,
            cider,
            search.Beams.Count > 1 ? Variety.Of(sets, _references, _cider) : null)
        { Written = written };
    }
}
