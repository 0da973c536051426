using System.Net.Http.Headers;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>Requests as programs that cannot run here write them, from their sources.</summary>
public sealed class RecordedRequestsTests(Service service)
{
    private static string DataUrl => $"data:image/jpeg;base64,{Convert.ToBase64String(Photos.Cat)}";

    private Task<Answer> Json(string route, string json) => Answer.To(service.Client, route, new StringContent(json, new MediaTypeHeaderValue("application/json")));

    [Fact]
    public async Task PhotoPrism_reads_a_caption_with_its_confidence()
    {
        Answer answer = await Json("/api/v1/vision/caption", $$"""
            {"id":"b0db2187-7a09-438c-8649-a9c6c0f7b8a1","model":"llava","version":"latest","system":"You are a helpful assistant.","prompt":"Create a caption with exactly one sentence.",
             "options":{"seed":3736,"temperature":0.1,"num_predict":512},"stream":false,"images":["{{DataUrl}}"]}
            """);

        JsonNode best = (await service.Caption(Photos.Cat)).Captions()[0]!;
        Assert.Equal(200, (int)answer.Body["code"]!);
        Assert.Equal("b0db2187-7a09-438c-8649-a9c6c0f7b8a1", (string?)answer.Body["id"]);
        Assert.Equal("everyday-en", (string?)answer.Body["model"]!["name"]);
        Assert.Equal((string?)best["text"], (string?)answer.Body["result"]!["caption"]!["text"]);
        Assert.Equal((double)best["confidence"]!, (double)answer.Body["result"]!["caption"]!["confidence"]!);
        Assert.Null(answer.Body["error"]);
    }

    [Theory]
    [InlineData("caption", """{"id":"a","images":[]}""", 400, "no_photo")]
    [InlineData("caption", """{"images":["data:image/jpeg;base64,AAAA"]}""", 415, "not_a_photo")]
    [InlineData("labels", """{"images":[]}""", 501, "not_offered")]
    [InlineData("nsfw", """{"images":[]}""", 501, "not_offered")]
    public async Task PhotoPrism_reads_why_it_is_refused(string what, string json, int status, string code)
    {
        Answer answer = await Json("/api/v1/vision/" + what, json);

        Assert.Equal((status, status), (answer.Status, (int)answer.Body["code"]!));
        Assert.StartsWith(code + ": ", (string?)answer.Body["error"], StringComparison.Ordinal);
        Assert.Empty(answer.Body["result"]!.AsObject());
    }

    [Fact]
    public async Task ClassifAI_finds_the_model_it_knows_and_generates_with_it()
    {
        Answer tags = await Answer.Get(service.Client, "/api/tags");
        Answer answer = await Json("/api/generate", $$"""{"model":"llava","prompt":"You are an assistant that generates descriptions of images.","images":["{{Convert.ToBase64String(Photos.Cat)}}"],"stream":false}""");

        Assert.Contains("llava", tags.Body["models"]!.AsArray().Select(model => (string?)model!["model"]));
        Assert.Equal(await service.BestOf("cat"), (string?)answer.Body["response"]);
    }

    [Fact]
    public async Task Frigate_chats_with_a_photo_on_its_message()
    {
        Answer answer = await Json("/api/chat", $$"""
            {"model":"llava","stream":false,"options":{"num_ctx":4096},"messages":[{"role":"user","content":"[img] Describe what is happening.","images":["{{Convert.ToBase64String(Photos.Cat)}}"]}]}
            """);

        Assert.Equal(await service.BestOf("cat"), (string?)answer.Body["message"]!["content"]);
    }

    [Fact]
    public async Task The_MAX_web_app_sends_a_form_without_a_type_and_reads_predictions()
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent(Photos.Cat), "image", "cat.jpg" } };
        Answer probe = await Answer.Get(service.Client, "/model/predict");
        Answer answer = await Answer.To(service.Client, "/model/predict", form);

        Assert.Equal("ok", (string?)probe.Body["status"]);
        JsonArray predictions = answer.Body["predictions"]!.AsArray();
        Assert.Equal(["0", "1", "2"], predictions.Select(prediction => (string?)prediction!["index"]));
        Assert.Equal(await service.BestOf("cat"), (string?)predictions[0]!["caption"]);
        Assert.All(predictions, prediction => Assert.InRange((double)prediction!["probability"]!, 0, 1));
    }

    [Fact]
    public async Task Phanpy_sends_a_form_from_a_page_of_another_origin()
    {
        using var form = new MultipartFormDataContent();
        form.Add(new ByteArrayContent(Photos.Cat) { Headers = { ContentType = new MediaTypeHeaderValue("image/jpeg") } }, "image", "cat.jpg");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/img-alt") { Content = form, Headers = { { "Origin", WebClientsTests.Origin } } };
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Assert.Equal(WebClientsTests.Origin, Assert.Single(response.Headers.GetValues("Access-Control-Allow-Origin")));
        Assert.Equal(await service.BestOf("cat"), (string?)(await Answer.Read(response)).Body["description"]);
    }

    [Theory]
    [InlineData("/model/predict", "message")]
    [InlineData("/img-alt", "error")]
    public async Task A_form_without_a_photo_is_refused_in_the_protocols_shape(string route, string member)
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent([1, 2, 3]), "image", "a.jpg" } };
        Answer answer = await Answer.To(service.Client, route, form);

        Assert.Equal((415, "not_a_photo"), (answer.Status, (string?)answer.Body["code"]));
        Assert.NotEmpty((string)answer.Body[member]!);
    }

    [Theory]
    [InlineData("?image=https%3A%2F%2Fexample.org%2Fcat.jpg", 403, "fetch_disabled")]
    [InlineData("", 400, "no_photo")]
    public async Task Phanpy_may_name_a_photo_where_the_service_fetches(string query, int status, string code)
    {
        Answer answer = await Answer.Get(service.Client, "/img-alt" + query);

        Assert.Equal((status, code), (answer.Status, (string?)answer.Body["code"]));
    }

    [Fact]
    public async Task Hugging_Faces_Python_client_sends_JSON()
    {
        Answer answer = await Json("/models/everyday-de", $$"""{"inputs":"{{Convert.ToBase64String(Photos.Cat)}}","parameters":{"max_new_tokens":20} }""");

        Assert.Equal((await service.Caption(Photos.Cat, "?language=de")).Best(), (string?)answer.Body["generated_text"]);
    }

    [Theory]
    [InlineData("", "invalid_option")]
    [InlineData("?features=caption,read", "invalid_option")]
    [InlineData("?features=caption&language=xx", "model_not_found")]
    public async Task Azure_is_refused_in_its_shape(string query, string code) =>
        Assert.Equal(code, (string?)(await Answer.To(service.Client, "/computervision/imageanalysis:analyze" + query, Service.Bytes(Photos.Cat))).Body["error"]!["innererror"]!["code"]);
}
