using OllamaSharp;
using OllamaSharp.Models;
using OllamaSharp.Models.Chat;
using OllamaSharp.Models.Exceptions;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>A client of Ollama as its package is.</summary>
public sealed class OllamaTests(Service service)
{
    private OllamaApiClient Client => new(service.Client.BaseAddress!, "llava");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_client_generates_a_caption(bool stream)
    {
        using OllamaApiClient client = Client;
        var request = new GenerateRequest { Model = "llava:latest", Prompt = "Describe this image.", Images = [Convert.ToBase64String(Photos.Cat)], Stream = stream };

        GenerateResponseStream?[] read = await client.GenerateAsync(request, Service.Cancellation).ToArrayAsync(Service.Cancellation);

        Assert.Equal(await service.BestOf("cat"), string.Concat(read.Select(part => part?.Response)));
        var end = Assert.IsType<GenerateDoneResponseStream>(read[^1]);
        Assert.True(end is { Done: true, DoneReason: "stop", EvalCount: > 0, TotalDuration: > 0 });
    }

    [Fact]
    public async Task The_client_chats_in_the_language_of_its_prompt()
    {
        using OllamaApiClient client = Client;
        var request = new ChatRequest { Model = "llava", Messages = [new Message(ChatRole.User, "请描述这张图片。", [Convert.ToBase64String(Photos.Cat)])] };

        ChatResponseStream?[] read = await client.ChatAsync(request, Service.Cancellation).ToArrayAsync(Service.Cancellation);

        Assert.Equal((await service.Caption(Photos.Cat, "?language=zh")).Best(), string.Concat(read.Select(part => part?.Message.Content)));
        Assert.True(read[^1]!.Done);
    }

    [Fact]
    public async Task The_client_lists_the_models_and_learns_that_they_see()
    {
        using OllamaApiClient client = Client;

        string[] models = [.. (await client.ListLocalModelsAsync(Service.Cancellation)).Select(model => model.Name)];
        string[] running = [.. (await client.ListRunningModelsAsync(Service.Cancellation)).Select(model => model.Name)];
        ShowModelResponse shown = await client.ShowModelAsync("llava", Service.Cancellation);

        Assert.Equal(["llava", "everyday-en"], models.Take(2));
        Assert.Equal(models, running);
        Assert.Equal(["completion", "vision"], shown.Capabilities!);
        Assert.True(await client.IsRunningAsync(Service.Cancellation));
        using var head = new HttpRequestMessage(HttpMethod.Head, "/");       // as its command line asks whether a server is there
        using HttpResponseMessage there = await service.Client.SendAsync(head, Service.Cancellation);
        Assert.Equal(200, (int)there.StatusCode);
        Assert.Matches(@"^\d+\.\d+\.\d+$", await client.GetVersionAsync(Service.Cancellation));
    }

    [Fact]
    public async Task The_client_reads_why_it_is_refused()
    {
        using OllamaApiClient client = Client;
        var request = new GenerateRequest { Model = "qwen3-vl", Prompt = "?", Images = [Convert.ToBase64String(Photos.Cat)] };

        Exception refused = await Assert.ThrowsAnyAsync<Exception>(async () => await client.GenerateAsync(request, Service.Cancellation).ToArrayAsync(Service.Cancellation));

        Assert.True(refused is OllamaException or HttpRequestException, refused.ToString());
        Answer answer = await Answer.To(service.Client, "/api/generate", new StringContent("""{"model":"qwen3-vl","prompt":"?"}"""));
        Assert.Equal((400, "no_photo"), (answer.Status, (string?)answer.Body["code"]));
        Assert.NotEmpty((string)answer.Body["error"]!);
    }

    [Theory]
    [InlineData("/api/generate", """{"model":"llava"}""")]
    [InlineData("/api/chat", """{"model":"llava","messages":[],"stream":false}""")]
    public async Task A_request_without_a_prompt_loads_the_model(string route, string json)
    {
        Answer answer = await Answer.To(service.Client, route, new StringContent(json));

        Assert.Equal((200, "load", true), (answer.Status, (string?)answer.Body["done_reason"], (bool)answer.Body["done"]!));
    }
}
