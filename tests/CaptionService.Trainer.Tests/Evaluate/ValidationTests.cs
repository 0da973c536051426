using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Ranking;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Evaluate;

public sealed class ValidationTests
{
    [Fact]
    public void Captions_are_scored_in_lower_case_and_shown_with_their_capitals()
    {
        var tokenizer = Tokenizer.For("de");
        CaptionedPhoto[] photos = [new("a.jpg", "a.jpg", ["Eine graue Katze."]), new("b.jpg", "b.jpg", ["Auf der Wiese liegt eine Katze.", "Die Katze schläft."])];
        var vocabulary = Vocabulary.Build(photos.SelectMany(p => p.Captions.Select(tokenizer.Surfaces)), 1);
        int[] said = vocabulary.Encode(["eine", "katze"]);
        using var features = new Nothing();
        using var decoder = new Saying(said, vocabulary.Count);
        var scores = new Validation(photos, features, [], vocabulary, tokenizer).Run(decoder, new RankedSearch(new BeamSearchOptions { Width = 1 }, ByRisk: false));
        Assert.All(scores.Captions, caption => Assert.Equal(["eine", "katze"], caption));
        Assert.All(scores.Written, caption => Assert.Equal("Eine Katze.", tokenizer.Detokenize(caption)));
    }

    private sealed class Nothing : FeatureSource
    {
        public override int Size => 1;
        public override bool SingleVector => true;
        public override Tensor Rows(IReadOnlyList<int> rows) => zeros(rows.Count, 1);

        public override void Dispose()
        {
        }
    }

    /// <summary>A decoder that always says the same.</summary>
    private sealed class Saying(int[] words, int vocabulary) : FrozenDecoder
    {
        public override DecoderState Start(Tensor features) => new State(words, vocabulary);

        public override void Dispose()
        {
        }

        private sealed class State(int[] words, int vocabulary) : DecoderState
        {
            private int _step;

            public override Tensor Step(Tensor read, Tensor? photos, Tensor? parents)
            {
                using var scope = NewDisposeScope();
                var logP = ones(read.shape[0], read.shape[1], vocabulary).times(-50);
                logP[TensorIndex.Ellipsis, _step < words.Length ? words[_step] : Vocabulary.End] = tensor(0f);
                _step++;
                return logP.MoveToOuterDisposeScope();
            }

            public override void Dispose()
            {
            }
        }
    }
}
