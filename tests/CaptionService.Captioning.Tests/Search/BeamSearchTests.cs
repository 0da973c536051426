using CaptionService.Captioning.Language;
using CaptionService.Captioning.Search;
using TorchSharp;
using Xunit;
using static CaptionService.Captioning.Tests.Search.PlainSearches;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Search;

/// <summary>The search against full enumeration, a plain reference and greedy decoding, on random models.</summary>
public sealed class BeamSearchTests
{
    private const double Tolerance = 1e-4;

    // 8 pairs of a vocabulary and a length × 50 seeds = 400 models of 2 photos, each enumerated in full.
    [Fact]
    public void A_beam_wide_enough_finds_what_full_enumeration_finds()
    {
        int models = 0;
        foreach ((int vocabulary, int maxLength) in new[] { (5, 4), (6, 2), (6, 3), (6, 4), (7, 2), (7, 3), (7, 4), (8, 3) })
        {
            for (int seed = 0; seed < 50; seed++, models++)
            {
                var random = new Random(1000 * vocabulary + 100 * maxLength + seed);
                var options = new BeamSearchOptions
                {
                    Width = 2000,
                    Count = 1 + random.Next(12),
                    MaxLength = maxLength,
                    LengthNormalization = random.Next(3) == 0 ? 0 : 1.5 * random.NextDouble(),
                    NoRepeatNgram = random.Next(4),
                    NoWordTwice = random.Next(2) == 1,
                    Repeatable = random.Next(2) == 1 ? [4, 5] : [],
                    Forbidden = random.Next(4) == 0 ? [4] : [],
                    MinLength = 1 + random.Next(maxLength),
                    NeverLast = random.Next(3) == 0 ? [vocabulary - 1] : [],
                    Joins = random.Next(2) == 0 ? [4] : [],
                };
                var model = new RandomModel(vocabulary, seed, photos: 2);
                IReadOnlyList<Hypothesis>[] found = model.Search(options);
                for (int photo = 0; photo < 2; photo++)
                {
                    List<Found> expected = Enumerate(model, photo, options, [], 0).OrderByDescending(f => f.Score).Take(options.Count).ToList();
                    AssertSame(expected, [.. found[photo].Where(f => f.Ended)]);
                    Assert.True(expected.Count < options.Count || found[photo].Count == expected.Count);     // no room for what did not end
                }
            }
        }
        Assert.True(models >= 300);
    }

    [Fact]
    public void A_narrow_beam_finds_what_a_plain_search_finds()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            int width = 1 + random.Next(5);
            var options = new BeamSearchOptions
            {
                Width = width,
                Count = 1 + random.Next(width),
                MaxLength = 1 + random.Next(8),
                LengthNormalization = random.Next(3) == 0 ? 0 : 1.2 * random.NextDouble(),
                NoRepeatNgram = random.Next(4),
                NoWordTwice = random.Next(2) == 1,
                Repeatable = random.Next(2) == 1 ? [4, 5] : [],
                Forbidden = random.Next(3) == 0 ? [5, 7] : [],
                NeverLast = random.Next(3) == 0 ? [4, 6, 8] : [],
                Joins = random.Next(2) == 0 ? [4, 5] : [],
            };
            options = options with { MinLength = 1 + random.Next(Math.Min(4, options.MaxLength)) };
            var model = new RandomModel(vocabulary: 5 + random.Next(12), seed, photos: 1 + random.Next(5), endBias: random.Next(-3, 3));
            IReadOnlyList<Hypothesis>[] found = model.Search(options);
            for (int photo = 0; photo < model.Photos; photo++)
                AssertSame(PlainSearch(model, photo, options), found[photo]);
        }
    }

    [Fact]
    public void A_search_guided_by_pairs_of_words_finds_what_a_plain_one_does_and_says_the_decoders_probabilities()
    {
        int changed = 0;
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            int width = 1 + random.Next(5), vocabulary = 5 + random.Next(12);
            var options = new BeamSearchOptions
            {
                Width = width,
                Count = width,
                MaxLength = 1 + random.Next(8),
                LengthNormalization = random.Next(3) == 0 ? 0 : 1.2 * random.NextDouble(),
                NoRepeatNgram = random.Next(4),
                NeverLast = random.Next(3) == 0 ? [4] : [],
            };
            var pairs = Enumerable.Range(0, vocabulary).Select(_ => Enumerable.Range(4, vocabulary - 4).Where(_ => random.Next(3) == 0).ToDictionary(word => word, _ => 2 * random.NextSingle())).ToArray();
            const float Cost = 0.25f;
            double Bonus(int photo, int[] words, int word) => words.Length == 0 || word == Vocabulary.End ? 0 : pairs[(words[^1] + photo) % vocabulary].GetValueOrDefault(word) - Cost;
            double All(int photo, int[] words) => words.Select((word, i) => Bonus(photo, words[..i], word)).Sum();
            var model = new RandomModel(vocabulary, seed, photos: 1 + random.Next(4), endBias: random.Next(-3, 3));
            IReadOnlyList<Hypothesis>[] found = model.Search(options, new Guide((photo, word) => pairs[(word + photo) % vocabulary], Cost));
            IReadOnlyList<Hypothesis>[] plain = model.Search(options);
            for (int photo = 0; photo < model.Photos; photo++)
            {
                // What a plain search finds by log p and bonuses; its probabilities are without them.
                var expected = PlainSearch(model, photo, options, (words, word) => Bonus(photo, words, word))
                    .Select(f => f with { LogProbability = f.LogProbability - All(photo, f.Words) })
                    .Select(f => f with { Score = Score(f.LogProbability, f.Ended ? f.Words.Length + 1 : f.Words.Length, options) });
                AssertSame([.. expected.OrderBy(f => string.Join(' ', f.Words))], [.. found[photo].OrderBy(f => string.Join(' ', f.Words))]);
                Assert.All(found[photo], h => Assert.Equal(h.LogProbability - (h.Ended ? model.Next(photo, h.Words)[Vocabulary.End] : 0), h.WordLogProbabilities.Sum(), Tolerance));
                changed += found[photo].Select(h => string.Join(' ', h.Words)).Order().SequenceEqual(plain[photo].Select(h => string.Join(' ', h.Words)).Order()) ? 0 : 1;
            }
        }
        Assert.True(changed > 100);
    }

    // 300 models, each with a number of groups, a penalty and the other options at random.
    [Fact]
    public void Groups_find_what_a_plain_diverse_search_finds()
    {
        int differ = 0, grouped = 0;
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            int groups = 1 + random.Next(5), width = groups * (1 + random.Next(4));
            var options = new BeamSearchOptions
            {
                Width = width,
                Count = 1 + random.Next(width),
                MaxLength = 1 + random.Next(7),
                LengthNormalization = random.Next(3) == 0 ? 0 : 1.2 * random.NextDouble(),
                NoRepeatNgram = random.Next(3),
                NoWordTwice = random.Next(2) == 1,
                Repeatable = random.Next(2) == 1 ? [4, 5] : [],
                NeverLast = random.Next(3) == 0 ? [4, 6] : [],
                Groups = groups,
                Diversity = random.Next(4) == 0 ? 0 : 3 * random.NextDouble(),
            };
            var model = new RandomModel(vocabulary: 5 + random.Next(12), seed, photos: 1 + random.Next(3), endBias: random.Next(-2, 3));
            IReadOnlyList<Hypothesis>[] found = model.Search(options);
            for (int photo = 0; photo < model.Photos; photo++)
            {
                List<Found> expected = DiverseSearch(model, photo, options);
                AssertSame(expected, found[photo]);
                grouped++;
                differ += expected.Select(f => string.Join(' ', f.Words)).SequenceEqual(PlainSearch(model, photo, options).Select(f => string.Join(' ', f.Words))) ? 0 : 1;
            }
        }
        Assert.True(differ > grouped / 2);      // or the groups would not matter
    }

    [Fact]
    public void One_group_is_the_plain_search_exactly_whatever_the_penalty()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var plain = new BeamSearchOptions { Width = 1 + seed % 6, Count = 1 + seed % 6, MaxLength = 6, NoRepeatNgram = 2 };
            var model = new RandomModel(vocabulary: 6 + seed % 9, seed, photos: 3);
            foreach ((IReadOnlyList<Hypothesis> one, IReadOnlyList<Hypothesis> other) in model.Search(plain).Zip(model.Search(plain with { Diversity = 1.5 })))
            {
                Assert.Equal(one.Select(h => string.Join(' ', h.Words)), other.Select(h => string.Join(' ', h.Words)));
                Assert.Equal(one.Select(h => (h.LogProbability, h.Score, h.Ended)), other.Select(h => (h.LogProbability, h.Score, h.Ended)));
                Assert.Equal(one.SelectMany(h => h.Rows), other.SelectMany(h => h.Rows));
            }
        }
        Assert.Equal(new BeamSearchOptions { Width = 5, Count = 3 }, new BeamSearchOptions { Width = 5, Count = 3 }.Diverse(0));
    }

    [Fact]
    public void A_diverse_search_has_a_group_for_each_hypothesis_asked_for_and_none_of_them_twice()
    {
        BeamSearchOptions options = new BeamSearchOptions { Width = 5, Count = 3, MaxLength = 12 }.Diverse(0.5);
        Assert.Equal((6, 3, 0.5), (options.Width, options.Groups, options.Diversity));
        for (int seed = 0; seed < 50; seed++)
        {
            // A sure model: without the rule, the groups would end alike.
            foreach (IReadOnlyList<Hypothesis> found in new RandomModel(vocabulary: 7, seed, photos: 4, endBias: 2).Search(options with { Diversity = 1e-9 }))
                Assert.Equal(3, found.Select(h => string.Join(' ', h.Words)).Distinct().Count());
        }
    }

    [Theory]
    [InlineData("en", "a woman and a man with a red cup on the table", "and|with|a|the")]
    [InlineData("de", "Ein Mann und die Frau mit einem Hund", "Ein|und|die|mit|einem")]
    [InlineData("zh", "一 个 男 人 和 小 孩 在 玩", "一|个|和|在")]
    public void A_languages_defaults_keep_captions_from_ending_unfinished(string language, string words, string never)
    {
        var vocabulary = Vocabulary.Parse(["<pad>", "<start>", "<end>", "<unk>", .. words.Split(' ').Distinct()]);
        BeamSearchOptions options = BeamSearchOptions.For(Tokenizer.For(language), vocabulary);
        Assert.Equal(never.Split('|').Order(StringComparer.Ordinal), options.NeverLast.Select(vocabulary.Display).Order(StringComparer.Ordinal));
        Assert.Single(options.Joins);
        Assert.Equal(language == "zh", options.Repeatable.Count == 0);
        bool cut = false;
        for (int seed = 0; seed < 40; seed++)
        {
            var model = new RandomModel(vocabulary.Count, seed, photos: 4, endBias: seed % 3 - 1);
            foreach (Hypothesis found in model.Search(options with { Width = 4, Count = 4, MaxLength = 2 + seed % 4 }).SelectMany(found => found))
            {
                Assert.DoesNotContain(found.Words[^1], options.NeverLast);
                Assert.DoesNotContain(found.Words.Zip(found.Words.Skip(1), found.Words.Skip(2)), three => language != "zh" && options.Joins.Contains(three.Second) && three.First == three.Third);
                if (options.Repeatable.Count > 0)
                    Assert.DoesNotContain(found.Words.CountBy(word => word), word => word.Value > 1 && !options.Repeatable.Contains(word.Key));
                cut |= !found.Ended;
            }
        }
        Assert.True(cut);       // those too
    }

    [Fact]
    public void Width_one_is_greedy()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var model = new RandomModel(vocabulary: 12, seed, photos: 3, endBias: seed % 3 - 1);
            IReadOnlyList<Hypothesis>[] found = model.Search(new() { Width = 1, MaxLength = 6, LengthNormalization = 0.7 });
            for (int photo = 0; photo < 3; photo++)
            {
                List<int> words = [];
                bool ended = false;
                while (true)
                {
                    double[] next = model.Next(photo, words);
                    int best = Enumerable.Range(4, next.Length - 4).Prepend(Vocabulary.End).Where(id => id != Vocabulary.End || words.Count > 0).MaxBy(id => next[id]);
                    ended = best == Vocabulary.End;
                    if (ended || words.Count == 6)
                        break;
                    words.Add(best);
                }
                Hypothesis only = Assert.Single(found[photo]);
                Assert.Equal(words, only.Words);
                Assert.Equal(ended, only.Ended);
            }
        }
    }

    [Fact]
    public void A_photo_alone_finds_what_it_finds_in_a_batch()
    {
        var options = new BeamSearchOptions { Width = 3, Count = 3, MaxLength = 7, NoRepeatNgram = 2 };
        for (int seed = 0; seed < 30; seed++)
        {
            var batch = new RandomModel(vocabulary: 9, seed, photos: 8);
            IReadOnlyList<Hypothesis>[] together = batch.Search(options);
            for (int photo = 0; photo < 8; photo++)
            {
                IReadOnlyList<Hypothesis> alone = new RandomModel(vocabulary: 9, seed, photos: 1, firstPhoto: photo).Search(options)[0];
                Assert.Equal(together[photo].Select(h => h.Words), alone.Select(h => h.Words));
                Assert.Equal(together[photo].Select(h => h.Score), alone.Select(h => h.Score));
            }
        }
    }

    [Fact]
    public void When_none_ends_the_best_that_were_cut_are_returned()
    {
        var model = new RandomModel(vocabulary: 10, seed: 5, photos: 3, endBias: double.NegativeInfinity);
        foreach (IReadOnlyList<Hypothesis> found in model.Search(new() { Width = 4, Count = 3, MaxLength = 5 }))
        {
            Assert.Equal(3, found.Count);
            Assert.All(found, h => Assert.True(!h.Ended && h.Words.Length == 5));
            Assert.Equal(found.OrderByDescending(h => h.Score), found);
        }
    }

    [Fact]
    public void Rows_say_which_output_each_word_came_from()
    {
        var model = new RandomModel(vocabulary: 11, seed: 8, photos: 6);
        IReadOnlyList<Hypothesis>[] found = model.Search(new() { Width = 4, Count = 4, MaxLength = 6 });
        for (int photo = 0; photo < 6; photo++)
        {
            foreach (Hypothesis hypothesis in found[photo])
            {
                for (int i = 0; i < hypothesis.Words.Length; i++)
                    Assert.Equal((photo, string.Join(' ', hypothesis.Words[..i])), model.Steps[i][hypothesis.Rows[i]]);
                double words = hypothesis.WordLogProbabilities.Sum();
                double end = hypothesis.Ended ? model.Next(photo, hypothesis.Words)[Vocabulary.End] : 0;
                Assert.Equal(hypothesis.LogProbability, words + end, Tolerance);
            }
        }
    }

    [Fact]
    public void A_vocabulary_without_words_gives_no_hypothesis() =>
        Assert.Empty(new RandomModel(vocabulary: 4, seed: 1, photos: 1).Search(new() { Width = 3 })[0]);

    [Fact]
    public void No_photos_take_no_step() =>
        Assert.Empty(BeamSearch.Search(0, new(), (_, _, _) => throw new InvalidOperationException(), CPU));

    [Fact]
    public void Options_out_of_range_are_refused()
    {
        foreach (BeamSearchOptions options in new BeamSearchOptions[]
            { new() { Width = 0 }, new() { Width = 2, Count = 3 }, new() { Count = 0 }, new() { MaxLength = 0 }, new() { LengthNormalization = -1 }, new() { LengthNormalization = double.NaN }, new() { NoRepeatNgram = -1 },
            new() { MinLength = 0 }, new() { MinLength = 4, MaxLength = 3 }, new() { Width = 4, Groups = 0 }, new() { Width = 4, Groups = 3 }, new() { Diversity = -0.1 }, new() { Diversity = double.NaN } })
            Assert.Throws<ArgumentOutOfRangeException>(() => new RandomModel(vocabulary: 6, seed: 1, photos: 1).Search(options));
    }

    [Fact]
    public void No_tensor_is_left_behind()
    {
        var model = new RandomModel(vocabulary: 9, seed: 3, photos: 4);
        var options = new BeamSearchOptions { Width = 3, Count = 2, MaxLength = 8, NoRepeatNgram = 2, Forbidden = [5] };
        long before = LiveTensors();
        model.Search(options);
        model.Search(options with { Width = 6, Groups = 3, Diversity = 0.5 });
        model.Search(options with { Count = 3 }, new Guide((_, _) => new Dictionary<int, float> { [6] = 1 }, 0.1f));
        Assert.Equal(before, LiveTensors());
    }

    // Of this thread: Tensor.TotalCount would see the tests that run beside this one.
    private static long LiveTensors() => DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

    private static void AssertSame(List<Found> expected, IReadOnlyList<Hypothesis> found)
    {
        Assert.Equal(expected.Count, found.Count);
        foreach ((Found e, Hypothesis f) in expected.Zip(found))
        {
            Assert.Equal(e.Words, f.Words);
            Assert.Equal(e.Ended, f.Ended);
            Assert.Equal(e.LogProbability, f.LogProbability, Tolerance);
            Assert.Equal(e.Score, f.Score, Tolerance);
        }
    }
}
