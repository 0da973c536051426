using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Api.Captions;
using CaptionService.Captioning.Encoders;

namespace CaptionService.Api.Tests.Captions;

/// <summary>POST /captions on real photos with the shipped model.</summary>
public sealed class CaptionsTests(Service service)
{
    [Fact]
    public async Task One_photo_gives_three_ranked_captions_and_the_shape_that_is_documented()
    {
        Answer answer = await service.Caption(Photos.Cat, type: "image/jpeg");

        Assert.Equal(["models", "results", "timings"], answer.Body.AsObject().Select(property => property.Key));
        JsonNode model = Assert.Single(answer.Body["models"]!.AsArray())!;
        Assert.Equal(("en", "everyday-en", 1), ((string?)model["language"], (string?)model["name"], (int)model["version"]!));
        Assert.NotEmpty((string)model["digest"]!);
        JsonObject result = Assert.Single(answer.Results)!.AsObject();
        Assert.Equal(["name", "width", "height", "captions"], result.Select(property => property.Key));
        Assert.Equal((451, 300), ((int)result["width"]!, (int)result["height"]!));
        JsonArray captions = answer.Captions();
        Assert.Equal([1, 2, 3], captions.Select(caption => (int)caption!["rank"]!));
        Assert.All(captions, caption =>
        {
            Assert.Equal(["rank", "language", "text", "logProbability", "confidence"], caption!.AsObject().Select(property => property.Key));
            Assert.NotEmpty((string)caption["text"]!);
            Assert.True((double)caption["logProbability"]! < 0);
            Assert.Equal(answer.Body["models"]![0]!["whyNoConfidence"] is null, caption["confidence"] is not null);
        });
        Assert.Equal(3, captions.Select(caption => (string?)caption!["text"]).Distinct().Count());
        JsonObject timings = answer.Body["timings"]!.AsObject();
        Assert.Equal(["queueMs", "encodeMs", "decodeMs"], timings.Select(property => property.Key));
        Assert.Matches(@"^queue;dur=[\d.E-]+, encode;dur=[\d.E-]+, decode;dur=[\d.E-]+$", Assert.Single(answer.Headers.GetValues("Server-Timing")));
    }

    [Fact]
    public async Task Different_photos_give_different_captions() =>
        Assert.NotEqual(await service.BestOf("cat"), await service.BestOf("temple"));

    [Fact]
    public async Task A_photo_on_its_side_with_an_EXIF_note_is_seen_upright()
    {
        (byte[] upright, byte[] onItsSide) = Photos.CatWithoutLoss();

        Assert.Equal((await service.Caption(upright)).Captions().ToJsonString(), (await service.Caption(onItsSide)).Captions().ToJsonString());
        JsonNode result = (await service.Caption(Photos.CatOnItsSide())).Results[0]!;
        Assert.Equal((451, 300), ((int)result["width"]!, (int)result["height"]!));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("image/png")]
    [InlineData("application/octet-stream")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("text/plain; charset=utf-8")]
    [InlineData("not a media type")]
    public async Task The_bytes_decide_whatever_type_is_declared(string? type) =>
        Assert.Equal(await service.BestOf("cat"), (await service.Caption(Photos.Cat, type: type)).Best());

    [Fact]
    public async Task Every_way_in_gives_the_same_answer()
    {
        string base64 = Convert.ToBase64String(Photos.Cat);
        Answer expected = await service.Caption(Photos.Cat, "?count=2&beamWidth=4&include=words");

        Answer form = await service.CaptionForm([("cat.jpg", Photos.Cat)], ("count", "2"), ("beamWidth", "4"), ("include", "words"));
        Answer json = await service.CaptionJson($$"""{"images":[{"name":"cat.jpg","data":"{{base64}}"}],"count":2,"beamWidth":4,"include":["words"]}""");
        Answer dataUrl = await service.CaptionJson($$"""{"images":[{"name":"cat.jpg","data":"data:image/jpeg;base64,{{base64.Replace("/", "\\/", StringComparison.Ordinal)}}"}],"count":2,"beamWidth":4,"include":"words"}""");

        string lines = Convert.ToBase64String(Photos.Cat, Base64FormattingOptions.InsertLineBreaks).ReplaceLineEndings("\\r\\n");
        Answer wrapped = await service.CaptionJson($$"""{"images":[{"name":"cat.jpg","data":"{{lines}}"}],"count":2,"beamWidth":4,"include":["words"]}""");

        foreach (Answer answer in (Answer[])[form, json, dataUrl, wrapped])
        {
            Assert.Equal("cat.jpg", (string?)answer.Results[0]!["name"]);
            Assert.Equal(expected.Captions().ToJsonString(), answer.Captions().ToJsonString());
        }
        Assert.Null(expected.Results[0]!["name"]);
    }

    [Fact]
    public async Task A_PNG_with_transparency_is_captioned() => Assert.NotEmpty((await service.Caption(Photos.CatWithAlpha())).Best());

    [Fact]
    public async Task A_photo_of_one_pixel_is_captioned()
    {
        Answer answer = await service.Caption(Photos.BlackPng(1));

        Assert.NotEmpty(answer.Best());
        Assert.Equal((1, 1), ((int)answer.Results[0]!["width"]!, (int)answer.Results[0]!["height"]!));
    }

    [Fact]
    public async Task Sixteen_photos_come_back_in_their_order_with_the_captions_each_has_alone()
    {
        string[] names = [.. Enumerable.Range(0, 16).Select(i => Photos.SampleNames[i % Photos.SampleNames.Length])];

        Answer answer = await service.CaptionForm(names.Select(name => (name, Photos.Sample(name))));

        Assert.Equal(names, answer.Results.Select(result => (string?)result!["name"]));
        for (int i = 0; i < names.Length; i++)
        {
            Assert.Equal(await service.BestOf(names[i]), answer.Best(i));
        }
    }

    [Fact]
    public async Task One_bad_photo_among_many_has_a_problem_in_its_place_and_spoils_nothing()
    {
        Answer answer = await service.CaptionForm([("cat", Photos.Cat), ("empty", []), ("text", "no photo"u8.ToArray()), ("broken", Photos.Temple[..5000]),
            ("large", new byte[PhotoLimits.MaxBytes + 1]), ("temple", Photos.Temple)]);

        Assert.Equal(["cat", "empty", "text", "broken", "large", "temple"], answer.Results.Select(result => (string?)result!["name"]));
        Assert.Equal(await service.BestOf("cat"), answer.Best(0));
        Assert.Equal(await service.BestOf("temple"), answer.Best(5));
        (string, int)[] problems = [.. answer.Results.Skip(1).Take(4).Select(result => ((string)result!["problem"]!["code"]!, (int)result["problem"]!["status"]!))];
        Assert.Equal([("empty", 400), ("not_a_photo", 415), ("broken_photo", 422), ("too_many_bytes", 413)], problems);
        Assert.All(answer.Results.Skip(1).Take(4), result => Assert.Equal(["name", "problem"], result!.AsObject().Select(property => property.Key)));
    }

    [Fact]
    public async Task Several_photos_that_are_all_bad_are_an_answer_of_problems()
    {
        Answer answer = await service.CaptionForm([("a", []), ("b", [1])]);

        Assert.Equal(200, answer.Status);
        Assert.Equal(["empty", "not_a_photo"], answer.Results.Select(result => (string?)result!["problem"]!["code"]));
    }

    [Fact]
    public async Task A_single_bad_photo_is_the_answers_own_problem()
    {
        (await service.Caption([])).IsProblem(400, "empty");
        (await service.CaptionForm([("empty.jpg", [])])).IsProblem(400, "empty");
        (await service.Caption("no photo"u8.ToArray())).IsProblem(415, "not_a_photo");
        (await service.Caption(Photos.Cat, type: "application/pdf")).IsProblem(415, "unsupported_media_type");
        (await service.Caption(Photos.Cat[..10_000])).IsProblem(422, "broken_photo");
        (await service.CaptionJson("""{"images":[{"data":"https://example.org/cat.jpg"}]}""")).IsProblem(400, "bad_base64");
        (await service.CaptionJson("""{"images":[{}]}""")).IsProblem(400, "bad_base64");
        (await service.CaptionJson("""{"images":[null]}""")).IsProblem(400, "bad_base64");
    }

    [Fact]
    public async Task Very_many_pixels_in_few_bytes_are_refused()
    {
        byte[] png = Photos.BlackPng(30_000);

        Assert.InRange(png.Length, 100_000, 150_000);
        Answer answer = (await service.Caption(png)).IsProblem(413, "too_many_pixels");
        Assert.Contains("900000000", (string)answer.Body["detail"]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"images":[]}""", "no_photo")]
    [InlineData("{}", "no_photo")]
    [InlineData("null", "no_photo")]
    [InlineData("", "malformed_body")]
    [InlineData("{", "malformed_body")]
    [InlineData("[]", "malformed_body")]
    [InlineData("""{"images":[{"data":1}]}""", "malformed_body")]
    [InlineData("""{"images":[],"images":[]}""", "malformed_body")]
    [InlineData("""{"images":"cat.jpg"}""", "malformed_body")]
    public async Task JSON_that_is_something_else_is_refused(string json, string code) => (await service.CaptionJson(json)).IsProblem(400, code);

    [Fact]
    public async Task Forms_that_are_something_else_are_refused()
    {
        (await service.Caption(Photos.Cat, type: "multipart/form-data")).IsProblem(400, "malformed_body");
        (await service.Caption(Photos.Cat, type: "multipart/form-data; boundary=x")).IsProblem(400, "malformed_body");
        (await service.CaptionForm([], ("count", "1"))).IsProblem(400, "no_photo");
        (await service.CaptionForm(Enumerable.Repeat(("cat", Photos.Cat), 17))).IsProblem(400, "too_many_photos");
        (await service.CaptionForm([], ("model", new string('x', 2000)))).IsProblem(400, "invalid_option");
    }

    [Theory]
    [InlineData("image/jpeg", PhotoLimits.MaxBytes + 1, "too_many_bytes")]
    [InlineData("application/json", CaptioningOptions.MaxJsonBytes + 1, "body_too_large")]
    [InlineData("multipart/form-data; boundary=x", CaptioningOptions.MaxFormBytes + 1, "body_too_large")]
    public async Task A_body_that_is_announced_too_large_is_refused_before_it_is_sent(string type, long length, string code)
    {
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(service.Client.BaseAddress!.Host, service.Client.BaseAddress.Port, Service.Cancellation);
        NetworkStream stream = tcp.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"), Service.Cancellation);

        using var reader = new StreamReader(stream);
        string? status = await reader.ReadLineAsync(Service.Cancellation);
        string answer = status + "\n";
        while (await reader.ReadLineAsync(Service.Cancellation) is { } line && !line.Contains(code, StringComparison.Ordinal))
        {
            answer += line + "\n";
        }
        Assert.StartsWith("HTTP/1.1 413", status, StringComparison.Ordinal);
        Assert.Contains("application/problem+json", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("Server:", answer, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_body_of_unknown_length_is_refused_where_the_limit_is()
    {
        using var content = new StreamContent(new MemoryStream(new byte[PhotoLimits.MaxBytes + 1]));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/captions") { Content = content };
        request.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        (await Answer.Read(response)).IsProblem(413, "too_many_bytes");
    }

    [Fact]
    public async Task Two_hundred_callers_of_whom_forty_leave_half_way_and_then_a_correct_answer()
    {
        const string Quick = "?beamWidth=1&maxLength=6";
        string cat = (await service.Caption(Photos.Cat, Quick)).Best(), temple = (await service.Caption(Photos.Temple, Quick)).Best();
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Service.Cancellation);
        int answered = 0;

        async Task<bool> Call(int i)
        {
            bool leaves = i % 5 == 0, isCat = i % 2 == 0;
            try
            {
                Answer answer = await Answer.To(service.Client, "/captions" + Quick, Service.Bytes(isCat ? Photos.Cat : Photos.Temple), leaves ? leaving.Token : null);
                Assert.Equal(isCat ? cat : temple, answer.Best());
            }
            catch (OperationCanceledException) when (leaves)
            {
                return false;
            }
            if (Interlocked.Increment(ref answered) == 80)
            {
                await leaving.CancelAsync();
            }
            return true;
        }

        bool[] got = await Task.WhenAll(Enumerable.Range(0, 200).Select(Call));

        Assert.InRange(got.Count(it => it), 160, 200);
        Assert.Equal(cat, (await service.Caption(Photos.Cat, Quick)).Best());
    }
}
