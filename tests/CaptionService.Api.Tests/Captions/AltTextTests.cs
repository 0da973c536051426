using System.Text.Json.Nodes;
using CaptionService.Captioning.Language;
using NetVips;

namespace CaptionService.Api.Tests.Captions;

/// <summary>Text that may stand for a photo, from the shipped models.</summary>
public sealed class AltTextTests(Service service)
{
    private static readonly string[] s_people = ["astronaut", "football", "people", "tourist"];

    [Theory]
    [InlineData("en")]
    [InlineData("de")]
    [InlineData("zh")]
    public async Task Words_that_state_a_sex_are_said_otherwise(string language)
    {
        string[] plain = await Texts($"/captions?count=10&language={language}"), neutral = await Texts($"/captions?count=10&genderNeutral=true&language={language}");

        Assert.Contains(plain, text => Gendered(text).Any());
        Assert.All(neutral, text => Assert.Empty(Gendered(text)));
        string[] instead = [.. GenderedWords.For(language)!.Classes.SelectMany(its => its.Instead)];
        Assert.Contains(neutral, text => Tokenizer.For(language).Tokenize(text).Any(instead.Contains));

        IEnumerable<string> Gendered(string text) => GenderedWords.For(language)!.In(Tokenizer.For(language).Tokenize(text));
    }

    [Theory]
    [InlineData("en", 20, "dog")]
    [InlineData("de", 32, "dog")]
    [InlineData("zh", 10, "tourist")]
    public async Task A_text_ends_before_its_room_does(string language, int most, string sample)
    {
        JsonArray captions = (await service.CaptionForm([(sample, Photos.Sample(sample))], ("language", language), ("maxCharacters", $"{most}"), ("count", "8"))).Captions();

        Assert.NotEmpty((string)captions[0]!["text"]!);
        Assert.All(captions, caption =>
        {
            string text = (string)caption!["text"]!;
            Assert.InRange(text.Length, 0, most);
            Assert.DoesNotContain(Tokenizer.For(language).Tokenize(text) is [.., var last] ? last : "", Tokenizer.For(language).Repeatable);
            Assert.True(text.Length == 0 ? (string?)caption["reason"] == "unfinished" : caption["reason"] is null && text[^1] is '.' or '。', caption.ToJsonString());
        });
        Assert.Contains(await Texts($"/captions?count=8&language={language}", sample), text => text.Length > most);
    }

    [Fact]
    public async Task An_unsure_text_is_empty_and_says_so_and_the_others_of_the_request_stand()
    {
        await using var sure = new ServiceFactory(host => host.UseSetting("Captioning:AltMinConfidence", "0.2"));
        using HttpClient client = await sure.Start(ready: true);
        Answer answer = await Answer.To(client, "/captions?purpose=alt&include=words", Service.Form([("parrot", Photos.Sample("parrot")), ("noise", Noise())]));

        JsonNode parrot = Assert.Single(answer.Captions(0))!, noise = Assert.Single(answer.Captions(1))!;
        Assert.Matches(@"^[A-Z].{5,120}\.$", (string)parrot["text"]!);
        Assert.Null(parrot["reason"]);
        Assert.NotEmpty(parrot["words"]!.AsArray());
        Assert.Equal(("", "unsure"), ((string)noise["text"]!, (string)noise["reason"]!));
        Assert.Null(noise["words"]);
        Assert.InRange((double)noise["confidence"]!, 0, 0.2);
    }

    [Fact]
    public async Task It_is_asked_for_in_the_query_a_form_or_JSON()
    {
        byte[] photo = Photos.Sample("astronaut");
        string query = (await service.Caption(photo, "?purpose=alt")).Results.ToJsonString();

        Assert.Equal(Captions(query), Captions((await service.CaptionForm([("photo.jpg", photo)], ("purpose", "alt"))).Results.ToJsonString()));
        Assert.Equal(Captions(query), Captions((await service.CaptionJson($$"""{"image": "{{Convert.ToBase64String(photo)}}", "purpose": "alt", "maxCharacters": 125, "genderNeutral": true}""")).Results.ToJsonString()));

        static string Captions(string results) => JsonNode.Parse(results)![0]!["captions"]!.ToJsonString();
    }

    [Theory]
    [InlineData("?purpose=title", "purpose is 'caption' or 'alt', not 'title'")]
    [InlineData("?maxCharacters=9", "maxCharacters is '9'; it must be a whole number from 10 to 2000, or one of wordpress, mastodon.")]
    [InlineData("?maxCharacters=twitter", "or one of wordpress, mastodon")]
    [InlineData("?genderNeutral=yes", "genderNeutral is 'true' or 'false', not 'yes'")]
    [InlineData("?gender=true", "do you mean genderNeutral?")]
    public async Task A_wrong_wish_is_named(string query, string told) =>
        Assert.Contains(told, (string)(await service.Caption(Photos.Cat, query)).IsProblem(400, "invalid_option").Body["detail"]!, StringComparison.Ordinal);

    [Fact]
    public async Task Azures_gender_neutral_caption_is_the_neutral_one()
    {
        const string Analyze = "/computervision/imageanalysis:analyze?features=caption&language=en&gender-neutral-caption=";
        byte[] photo = Photos.Sample("astronaut");

        string neutral = await Azure("true"), plain = await Azure("false");

        Assert.Equal((await service.Caption(photo, "?genderNeutral=true&count=1")).Best(), neutral);
        Assert.Equal(await service.BestOf("astronaut"), plain);
        Assert.NotEqual(plain, neutral);

        async Task<string> Azure(string wanted) => (string)(await Answer.To(service.Client, Analyze + wanted, Service.Bytes(photo))).Body["captionResult"]!["text"]!;
    }

    private static byte[] Noise()
    {
        using Image noise = Image.Gaussnoise(224, 224, sigma: 60, mean: 128, seed: 1).Cast(Enums.BandFormat.Uchar);
        return noise.PngsaveBuffer();
    }

    private async Task<string[]> Texts(string path, params string[] samples)
    {
        Answer answer = await Answer.To(service.Client, path, Service.Form([.. (samples.Length > 0 ? samples : s_people).Select(name => (name, Photos.Sample(name)))]));
        return [.. answer.Results.SelectMany(result => result!["captions"]!.AsArray()).Select(caption => (string)caption!["text"]!)];
    }
}
