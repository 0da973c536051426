using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>OpenAI's chat completions: the photos behind the last answer are captioned, a line for each.</summary>
public static class OpenAi
{
    internal static void MapOpenAi(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder v1 = routes.MapGroup("/v1").WithTags(CompatibleApi.Tag + "OpenAI");
        v1.MapGet("/models", Ok<OpenAiModels> (ModelChoice choice) => TypedResults.Ok(new OpenAiModels("list", [.. Models(choice)])))
            .WithName("OpenAiModels").WithSummary("The models and aliases").Refuses(OpenAiError.Of);
        v1.MapGet("/models/{id}", Ok<OpenAiModel> (string id, ModelChoice choice) => TypedResults.Ok(
                Models(choice).FirstOrDefault(model => model.Id == id) ?? new OpenAiModel(id, "model", choice.Of(id, null, default).CreatedAt.ToUnixTimeSeconds(), "captionservice")))
            .WithName("OpenAiModel").WithSummary("One of them").Refuses(OpenAiError.Of);
        v1.MapPost("/chat/completions", Post).WithName("OpenAiChat").WithSummary("Captions as a chat's answer")
            .WithDescription("Photos are `image_url` parts with data: URLs. Several photos give a line each, `n` gives captions of lower rank as further choices. "
                + "Prompt, system, tools and sampling are ignored; `response_format` is refused unless it is `text`.")
            .JsonBody<ChatRequest>().Produces<ChatCompletion>(200, "application/json", ServerSentEvents.MediaType).Refuses(OpenAiError.Of);
    }

    private static async Task<IResult> Post(HttpContext http, CompatibleCall call, TimeProvider time, CancellationToken aborted)
    {
        ChatRequest request = await CompatibleCall.Read<ChatRequest>(http.Request, aborted);
        if (OpenAiContent.Member(request.ResponseFormat, "type") is { } format && format != "text")
            throw new ProblemException(ProblemTable.InvalidOption, $"response_format is '{format.Shortened()}', but captions are plain text.");
        OpenAiContent asked = OpenAiContent.Of(request.Messages?.Select(message => (message?.Role, message?.Content)) ?? []);
        CaptionsResponse captions = await call.Caption(http, asked.Images, new CompatibleRequest(request.Model, asked.Text, request.N), aborted);
        int choices = captions.Results.Min(photo => photo.Captions!.Count);
        var answer = new ChatCompletion($"chatcmpl-{Guid.NewGuid():N}", "chat.completion", time.GetUtcNow().ToUnixTimeSeconds(), captions.Models[0].Name,
            [.. Enumerable.Range(0, choices).Select(i => new ChatChoice(i, new ChatMessage("assistant", Lines(captions, i)), null, "stop"))], ChatUsage.Of(captions));
        return request.Stream == true ? TypedResults.Text(Stream(answer, OpenAiContent.IsTrue(request.StreamOptions, "include_usage")), ServerSentEvents.MediaType) : TypedResults.Ok(answer);
    }

    /// <summary>The captions of one rank, a line for each photo.</summary>
    internal static string Lines(CaptionsResponse captions, int rank) => string.Join('\n', captions.Results.Select(photo => photo.Captions![rank].Text));

    // A caption is known only as a whole, since its words are chosen together: a chunk for each choice and one for its end.
    private static string Stream(ChatCompletion answer, bool usage)
    {
        object Chunk(object[] choices, ChatUsage? used) => new { answer.Id, Object = "chat.completion.chunk", answer.Created, answer.Model, Choices = choices, Usage = used };
        IEnumerable<object> chunks =
        [
            .. answer.Choices.Select(choice => Chunk([new { choice.Index, Delta = choice.Message, Finish_reason = (string?)null }], null)),
            .. answer.Choices.Select(choice => Chunk([new { choice.Index, Delta = new { }, Finish_reason = "stop" }], null)),
            .. usage ? [Chunk([], answer.Usage)] : Array.Empty<object>(),
        ];
        return string.Concat(chunks.Select(chunk => $"data: {JsonSerializer.Serialize(chunk, Json.Answers)}\n\n")) + "data: [DONE]\n\n";
    }

    private static IEnumerable<OpenAiModel> Models(ModelChoice choice) =>
        choice.Listed.Select(listed => new OpenAiModel(listed.Name, "model", listed.Model.CreatedAt.ToUnixTimeSeconds(), "captionservice"));
}

/// <summary>What is read of a request for a chat completion.</summary>
internal sealed record ChatRequest(string? Model, IReadOnlyList<ChatTurn?>? Messages, bool? Stream, int? N,
    [property: JsonPropertyName("stream_options")] JsonElement StreamOptions, [property: JsonPropertyName("response_format")] JsonElement ResponseFormat);

/// <summary>A message: text, or parts of which some are photos.</summary>
internal sealed record ChatTurn(string? Role, JsonElement Content);

/// <summary>A chat's answer, as OpenAI names its members.</summary>
public sealed record ChatCompletion(string Id, string Object, long Created, string Model, IReadOnlyList<ChatChoice> Choices, ChatUsage Usage);

/// <summary>One of the answers, best first.</summary>
public sealed record ChatChoice(int Index, ChatMessage Message, object? Logprobs, [property: JsonPropertyName("finish_reason")] string FinishReason);

/// <summary>What the assistant says.</summary>
public sealed record ChatMessage(string Role, string Content);

/// <summary>Words of the captions as tokens; a prompt costs none, since it is not read.</summary>
public sealed record ChatUsage([property: JsonPropertyName("prompt_tokens")] int PromptTokens, [property: JsonPropertyName("completion_tokens")] int CompletionTokens,
    [property: JsonPropertyName("total_tokens")] int TotalTokens)
{
    internal static ChatUsage Of(CaptionsResponse captions)
    {
        int words = Words(captions);
        return new ChatUsage(0, words, words);
    }

    internal static int Words(CaptionsResponse captions) => captions.Results.Sum(photo => photo.Captions!.Sum(caption => caption.Text.Split(' ').Length));
}

/// <summary>The models.</summary>
public sealed record OpenAiModels(string Object, IReadOnlyList<OpenAiModel> Data);

/// <summary>A model as OpenAI describes one.</summary>
public sealed record OpenAiModel(string Id, string Object, long Created, [property: JsonPropertyName("owned_by")] string OwnedBy);

/// <summary>OpenAI's object for a failure, with this service's code.</summary>
public sealed record OpenAiError(OpenAiFailure Error)
{
    internal static OpenAiError Of(ProblemKind kind, string detail) => new(new OpenAiFailure(detail, kind.Status switch
    {
        401 => "authentication_error",
        429 => "rate_limit_error",
        < 500 => "invalid_request_error",
        _ => "server_error",
    }, null, kind.Code));
}

/// <summary>What went wrong.</summary>
public sealed record OpenAiFailure(string Message, string Type, string? Param, string Code);
