using System.ClientModel;
using System.ClientModel.Primitives;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>The client of OpenAI as its package is, and what it would not send.</summary>
public sealed class OpenAiTests(Service service)
{
    private OpenAIClientOptions Here => new() { Endpoint = new Uri(service.Client.BaseAddress!, "/v1"), RetryPolicy = new ClientRetryPolicy(0) };

    private ChatClient Chat(string model) => new(model, new ApiKeyCredential("none"), Here);

    private static UserChatMessage See(string prompt, params byte[][] photos) => new(
        [ChatMessageContentPart.CreateTextPart(prompt), .. photos.Select(photo => ChatMessageContentPart.CreateImagePart(BinaryData.FromBytes(photo), "image/jpeg"))]);

    [Fact]
    public async Task The_client_reads_a_caption()
    {
        ChatCompletion answer = await Chat("llava").CompleteChatAsync([See("Describe this image.", Photos.Cat)], cancellationToken: Service.Cancellation);

        string best = await service.BestOf("cat");
        Assert.Equal(best, answer.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal((0, best.Split(' ').Length), (answer.Usage.InputTokenCount, answer.Usage.OutputTokenCount));
    }

    [Fact]
    public async Task The_client_reads_a_stream_with_its_usage()
    {
        var text = new List<string>();
        int tokens = 0;
        await foreach (StreamingChatCompletionUpdate update in Chat("everyday-en").CompleteChatStreamingAsync([See("?", Photos.Cat)], cancellationToken: Service.Cancellation))
        {
            text.AddRange(update.ContentUpdate.Select(part => part.Text));
            tokens = update.Usage?.OutputTokenCount ?? tokens;
        }

        Assert.Equal(await service.BestOf("cat"), string.Concat(text));
        Assert.True(tokens > 0);
    }

    [Fact]
    public async Task Several_photos_of_several_messages_give_a_line_each_and_those_before_the_last_answer_none()
    {
        ChatMessage[] messages = [See("?", Photos.Sample("coffee")), new AssistantChatMessage("Coffee."), See("", Photos.Cat), See("", Photos.Temple), new UserChatMessage("What do you see?")];

        ChatCompletion answer = await Chat("everyday-en").CompleteChatAsync(messages, cancellationToken: Service.Cancellation);

        Assert.Equal($"{await service.BestOf("cat")}\n{await service.BestOf("temple")}", answer.Content[0].Text);
    }

    [Theory]
    [InlineData("caption-de", "Describe this image.")]
    [InlineData("llava", "Beschreibe das Bild in einem Satz.")]
    public async Task A_name_or_a_German_prompt_chooses_the_language(string model, string prompt)
    {
        ChatCompletion answer = await Chat(model).CompleteChatAsync(
            [new SystemChatMessage("Take the user's question and answer it based on the provided images."), See(prompt, Photos.Cat)], cancellationToken: Service.Cancellation);

        Assert.Equal((await service.Caption(Photos.Cat, "?language=de")).Best(), answer.Content[0].Text);
    }

    [Fact]
    public async Task The_client_lists_the_models_and_finds_one()
    {
        var client = new OpenAIModelClient(new ApiKeyCredential("none"), Here);

        OpenAIModelCollection models = await client.GetModelsAsync(Service.Cancellation);
        OpenAIModel model = await client.GetModelAsync("everyday-en@1", Service.Cancellation);

        Assert.Equal(["llava", "everyday-en", "caption-en"], models.Select(listed => listed.Id).Where(id => id == "llava" || id.EndsWith("-en", StringComparison.Ordinal)));
        Assert.Equal("captionservice", model.OwnedBy);
    }

    [Theory]
    [InlineData("gpt-4o", 404, "model_not_found")]
    [InlineData("caption-fi", 404, "model_not_found")]
    public async Task The_client_reads_why_it_is_refused(string model, int status, string code)
    {
        var refused = await Assert.ThrowsAsync<ClientResultException>(() => Chat(model).CompleteChatAsync([See("?", Photos.Cat)], cancellationToken: Service.Cancellation));

        Assert.Equal(status, refused.Status);
        Assert.Contains(code, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"model":"llava","messages":[{"role":"user","content":"Hello"}]}""", 400, "no_photo")]
    [InlineData("""{"model":"llava","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.org/a.jpg"}}]}]}""", 403, "fetch_disabled")]
    [InlineData("""{"model":"llava","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"a photo"}}]}]}""", 400, "bad_base64")]
    [InlineData("""{"model":"llava","messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,AAAA"}]}]}""", 415, "not_a_photo")]
    [InlineData("""{"model":"llava","response_format":{"type":"json_schema"},"messages":[]}""", 400, "invalid_option")]
    [InlineData("""{"model":"llava","messages":"what"}""", 400, "malformed_body")]
    [InlineData("null", 400, "malformed_body")]
    public async Task A_refusal_has_OpenAIs_shape_and_the_code(string json, int status, string code)
    {
        Answer answer = await Answer.To(service.Client, "/v1/chat/completions", new StringContent(json));

        Assert.Equal((status, code), (answer.Status, (string?)answer.Body["error"]!["code"]));
        Assert.Equal("invalid_request_error", (string?)answer.Body["error"]!["type"]);
        Assert.NotEmpty((string)answer.Body["error"]!["message"]!);
    }

    [Theory]
    [InlineData("""{"input":"hello"}""", "no_photo")]
    [InlineData("""{"stream":true,"input":"hello"}""", "invalid_option")]
    [InlineData("""{"text":{"format":{"type":"json_object"}}}""", "invalid_option")]
    public async Task Responses_are_refused_alike(string json, string code) =>
        Assert.Equal(code, (string?)(await Answer.To(service.Client, "/v1/responses", new StringContent(json))).Body["error"]!["code"]);
}
