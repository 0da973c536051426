using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>OpenAI's responses, as a whole: streams of them are refused.</summary>
public static class OpenAiResponses
{
    internal static void MapOpenAiResponses(this IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/responses", Post).WithTags(CompatibleApi.Tag + "OpenAI").WithName("OpenAiResponse").WithSummary("Captions as a response")
            .WithDescription("Photos are `input_image` parts with data: URLs. `stream` is refused, what else is ignored is as with chat completions.")
            .JsonBody<ResponseRequest>().Refuses(OpenAiError.Of);

    private static async Task<Ok<OpenAiResponse>> Post(HttpContext http, CompatibleCall call, TimeProvider time, CancellationToken aborted)
    {
        ResponseRequest request = await CompatibleCall.Read<ResponseRequest>(http.Request, aborted);
        if (request.Stream == true)
            throw new ProblemException(ProblemTable.InvalidOption, "stream is true, but a response comes as a whole; POST /v1/chat/completions streams.");
        if (request.Text.ValueKind == JsonValueKind.Object && request.Text.TryGetProperty("format", out JsonElement format) && OpenAiContent.Member(format, "type") is { } type && type != "text")
            throw new ProblemException(ProblemTable.InvalidOption, $"text.format is '{type.Shortened()}', but captions are plain text.");
        OpenAiContent asked = OpenAiContent.Of(request.Input.ValueKind == JsonValueKind.Array
            ? request.Input.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object)
                .Select(item => (OpenAiContent.Member(item, "role"), item.TryGetProperty("content", out JsonElement content) ? content : (JsonElement?)null))
            : [(null, request.Input)]);
        CaptionsResponse captions = await call.Caption(http, asked.Images, new CompatibleRequest(request.Model, asked.Text), aborted);
        int words = ChatUsage.Words(captions);
        return TypedResults.Ok(new OpenAiResponse($"resp_{Guid.NewGuid():N}", "response", time.GetUtcNow().ToUnixTimeSeconds(), "completed", captions.Models[0].Name, null,
            [new ResponseItem($"msg_{Guid.NewGuid():N}", "message", "completed", "assistant", [new ResponseText("output_text", OpenAi.Lines(captions, 0), [])])],
            new ResponseUsage(0, words, words), false, "none", []));
    }
}

/// <summary>What is read of a request for a response.</summary>
internal sealed record ResponseRequest(string? Model, JsonElement Input, bool? Stream, JsonElement Text);

/// <summary>A response, as OpenAI names its members.</summary>
public sealed record OpenAiResponse(string Id, string Object, [property: JsonPropertyName("created_at")] long CreatedAt, string Status, string Model, OpenAiFailure? Error,
    IReadOnlyList<ResponseItem> Output, ResponseUsage Usage, [property: JsonPropertyName("parallel_tool_calls")] bool ParallelToolCalls,
    [property: JsonPropertyName("tool_choice")] string ToolChoice, IReadOnlyList<string> Tools);

/// <summary>The message of a response.</summary>
public sealed record ResponseItem(string Id, string Type, string Status, string Role, IReadOnlyList<ResponseText> Content);

/// <summary>Its text.</summary>
public sealed record ResponseText(string Type, string Text, IReadOnlyList<string> Annotations);

/// <summary>Words of the captions as tokens.</summary>
public sealed record ResponseUsage([property: JsonPropertyName("input_tokens")] int InputTokens, [property: JsonPropertyName("output_tokens")] int OutputTokens,
    [property: JsonPropertyName("total_tokens")] int TotalTokens);
