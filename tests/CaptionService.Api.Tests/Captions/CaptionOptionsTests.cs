using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Captions;

/// <summary>What a request for captions may ask for, on real photos with the shipped model.</summary>
public sealed class CaptionOptionsTests(Service service)
{
    [Fact]
    public async Task Words_and_attention_come_when_asked_for()
    {
        Answer answer = await service.Caption(Photos.Cat, "?include=words,attention&count=1");

        JsonArray words = answer.Captions()[0]!["words"]!.AsArray();
        Assert.NotEmpty(words);
        Assert.All(words, word =>
        {
            Assert.InRange((double)word!["probability"]!, 0, 1);
            JsonArray rows = word["attention"]!.AsArray();
            Assert.Equal(14, rows.Count);
            Assert.All(rows, row => Assert.Equal(14, row!.AsArray().Count));
            Assert.Equal(1, rows.Sum(row => row!.AsArray().Sum(weight => (double)weight!)), 0.01);
        });
        JsonArray wordsOnly = (await service.Caption(Photos.Cat, "?include=words&count=1")).Captions();
        Assert.All(wordsOnly[0]!["words"]!.AsArray(), word => Assert.Null(word!["attention"]));
    }

    [Theory]
    [InlineData("count=5", 5)]              // the beam grows with the count
    [InlineData("beamWidth=1", 1)]          // a greedy search finds one
    [InlineData("beamWidth=8", 3)]
    [InlineData("COUNT=2", 2)]
    [InlineData("count=", 3)]               // as forms send what was left empty
    [InlineData("count=16&maxLength=1", 16)]
    public async Task Options_that_are_not_given_follow_those_that_are(string query, int captions) =>
        Assert.InRange((await service.Caption(Photos.Cat, "?" + query)).Captions().Count, 1, captions);

    [Fact]
    public async Task MaxLength_limits_the_words()
    {
        Answer answer = await service.Caption(Photos.Cat, "?maxLength=3&include=words");

        Assert.All(answer.Captions(), caption => Assert.InRange(caption!["words"]!.AsArray().Count, 1, 3));
    }

    [Fact]
    public async Task MinLength_puts_the_end_off()
    {
        Answer answer = await service.Caption(Photos.Cat, "?minLength=12&include=words");

        Assert.All(answer.Captions(), caption => Assert.InRange(caption!["words"]!.AsArray().Count, 12, 20));
    }

    [Fact]
    public async Task Raw_captions_are_the_words_without_capital_and_full_stop()
    {
        Answer sentences = await service.Caption(Photos.Cat, "?include=words"), raw = await service.Caption(Photos.Cat, "?style=raw");

        foreach ((JsonNode? sentence, JsonNode? words) in sentences.Captions().Zip(raw.Captions()))
        {
            Assert.Equal(string.Join(' ', sentence!["words"]!.AsArray().Select(word => (string?)word!["text"])), (string?)words!["text"]);
            string text = (string)sentence["text"]!;
            Assert.Equal($"{char.ToUpperInvariant(((string)words["text"]!)[0])}{((string)words["text"]!)[1..]}.", text);
        }
    }

    [Fact]
    public async Task Diverse_captions_have_more_words_in_them_and_stay_true_to_their_probabilities()
    {
        // Of one photo the plain captions may happen to differ more.
        string[] photos = ["astronaut", "cat", "coffee", "flower", "rocket", "temple"];
        JsonArray plain = await Captions(""), diverse = await Captions("&diversity=0.5&include=words");

        Assert.True(diverse.Sum(Words) > plain.Sum(Words), diverse.ToJsonString());
        Assert.All(diverse, result =>
        {
            JsonArray captions = result!["captions"]!.AsArray();
            Assert.Equal(5, captions.Select(caption => (string?)caption!["text"]).Distinct().Count());
            // Of the words alone: the end, which is not among them, only takes from it.
            Assert.All(captions, caption => Assert.True((double)caption!["logProbability"]!
                <= caption["words"]!.AsArray().Sum(word => Math.Log((double)word!["probability"]!)) + 1e-3));
            Assert.Equal([1, 2, 3, 4, 5], captions.Select(caption => (int)caption!["rank"]!));
        });

        async Task<JsonArray> Captions(string options) =>
            (await Answer.To(service.Client, "/captions?count=5" + options, Service.Form([.. photos.Select(name => (name, Photos.Sample(name)))]))).Body["results"]!.AsArray();

        static int Words(JsonNode? result) => result!["captions"]!.AsArray().SelectMany(caption => ((string)caption!["text"]!).TrimEnd('.').ToLowerInvariant().Split(' ')).Distinct().Count();
    }

    [Fact]
    public async Task The_body_counts_where_the_query_gives_the_same_option()
    {
        Answer answer = await Answer.To(service.Client, "/captions?count=3", Service.Form([("cat", Photos.Cat)], ("count", "1")));

        Assert.Single(answer.Captions());
    }

    [Fact]
    public async Task A_model_is_chosen_by_name()
    {
        Answer models = await Answer.Get(service.Client, "/models");
        string name = (string)models.Body["models"]![0]!["name"]!;     // the default

        Assert.Equal("everyday-en", name);
        Assert.Equal(name, (string?)(await service.Caption(Photos.Cat, $"?model={name}")).Body["models"]![0]!["name"]);
        Assert.Equal(name, (string?)(await Answer.Get(service.Client, $"/models/{name}")).Body["name"]);
    }

    [Theory]
    [InlineData("?count=0", "count is '0'; it must be a whole number from 1 to 16")]
    [InlineData("?count=17", "from 1 to 16")]
    [InlineData("?count=2.5", "a whole number from 1 to 16")]
    [InlineData("?count=1&count=2", "count is '1,2'")]
    [InlineData("?count=4&beamWidth=3", "count must be at most beamWidth")]
    [InlineData("?beamWidth=many", "beamWidth is 'many'; it must be a whole number from 1 to 16")]
    [InlineData("?maxLength=51", "from 1 to 50")]
    [InlineData("?lengthNormalization=NaN", "from 0 to 2")]
    [InlineData("?include=words,photos", "include is a list of 'words' and 'attention', not 'photos'")]
    [InlineData("?beams=3", "There is no option 'beams' (do you mean beamWidth?); the options are count, beamWidth, maxLength, minLength, lengthNormalization, diversity, language, model, style, include, purpose, genderNeutral, maxCharacters")]
    [InlineData("?minLength=9&maxLength=8", "minLength is 9, but captions end after maxLength, 8 words")]
    [InlineData("?diversity=-1", "diversity is '-1'; it must be a number from 0 to 5")]
    [InlineData("?style=shout", "style is 'sentence' or 'raw', not 'shout'")]
    public async Task A_wrong_option_is_named_with_what_would_be_right(string query, string told)
    {
        Answer answer = (await service.Caption(Photos.Cat, query)).IsProblem(400, "invalid_option");

        Assert.Contains(told, (string)answer.Body["detail"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_option_twice_in_a_form_is_refused() =>
        (await service.CaptionForm([("cat", Photos.Cat)], ("count", "1"), ("Count", "2"))).IsProblem(400, "invalid_option");
}
