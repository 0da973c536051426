using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using CaptionService.Api.Models;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Compatible;

/// <summary>Ollama's protocol. Its streams have one line, the last: a caption is known only as a whole.</summary>
public static class Ollama
{
    // Programs look for what a version brought. This is the one whose routes and members these are.
    private const string ProtocolVersion = "0.12.6";

    internal static void MapOllama(this IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder api = routes.MapGroup("/api").WithTags(CompatibleApi.Tag + "Ollama");
        api.MapPost("/generate", Generate).WithName("OllamaGenerate").WithSummary("A caption of each photo of `images`").WithDescription(Ignored)
            .JsonBody<OllamaGenerateRequest>().Produces<OllamaGenerated>(200, "application/json", "application/x-ndjson").Refuses(OllamaError.Of);
        api.MapPost("/chat", Chat).WithName("OllamaChat").WithSummary("The same as a chat's answer").WithDescription(Ignored)
            .JsonBody<OllamaChatRequest>().Produces<OllamaAnswered>(200, "application/json", "application/x-ndjson").Refuses(OllamaError.Of);
        api.MapGet("/tags", Ok<OllamaModels> (ModelChoice choice) => TypedResults.Ok(Listed(choice)))
            .WithName("OllamaTags").WithSummary("The models and aliases").Refuses(OllamaError.Of);
        api.MapGet("/ps", Ok<OllamaModels> (ModelChoice choice) => TypedResults.Ok(Listed(choice)))
            .WithName("OllamaPs").WithSummary("Those in memory: all that are active").Refuses(OllamaError.Of);
        api.MapPost("/show", Show).WithName("OllamaShow").WithSummary("What a model can do: see and complete").JsonBody<OllamaShowRequest>().Refuses(OllamaError.Of);
        api.MapGet("/version", Ok<OllamaVersion> () => TypedResults.Ok(new OllamaVersion(ProtocolVersion)))
            .WithName("OllamaVersion").WithSummary("Version of the protocol").Refuses(OllamaError.Of);
    }

    private const string Ignored = "Several photos give a line each. `prompt` chooses no more than the language; `system`, `format`, `options`, `tools`, `think` and `keep_alive` are ignored. "
        + "`stream`, true where it is absent, sends the same object as a line of its own.";

    private static async Task<IResult> Generate(HttpContext http, CompatibleCall call, ModelChoice choice, TimeProvider time, CancellationToken aborted)
    {
        long began = time.GetTimestamp();
        OllamaGenerateRequest request = await CompatibleCall.Read<OllamaGenerateRequest>(http.Request, aborted);
        string model = request.Model ?? "";
        if (request.Images is not { Count: > 0 } && string.IsNullOrEmpty(request.Prompt))
        {
            choice.Of(model, null, default);        // as programs load a model in advance
            return Line(new OllamaGenerated(model, time.GetUtcNow(), "", true, "load", 0, 0, 0, 0, 0, 0), request.Stream);
        }
        CaptionsResponse captions = await call.Caption(http, request.Images ?? [], new CompatibleRequest(model, request.Prompt), aborted);
        long took = Nanoseconds(time.GetElapsedTime(began).TotalMilliseconds);
        return Line(new OllamaGenerated(model, time.GetUtcNow(), OpenAi.Lines(captions, 0), true, "stop",
            took, 0, 0, Nanoseconds(captions.Timings.EncodeMs), ChatUsage.Words(captions), Nanoseconds(captions.Timings.DecodeMs)), request.Stream);
    }

    private static async Task<IResult> Chat(HttpContext http, CompatibleCall call, ModelChoice choice, TimeProvider time, CancellationToken aborted)
    {
        long began = time.GetTimestamp();
        OllamaChatRequest request = await CompatibleCall.Read<OllamaChatRequest>(http.Request, aborted);
        string model = request.Model ?? "";
        if (request.Messages is not { Count: > 0 })
        {
            choice.Of(model, null, default);
            return Line(new OllamaAnswered(model, time.GetUtcNow(), new ChatMessage("assistant", ""), true, "load", 0, 0, 0, 0, 0, 0), request.Stream);
        }
        JsonPhoto?[] images = [.. request.Messages.LastOrDefault(message => message?.Images is { Count: > 0 })?.Images ?? []];
        string prompt = string.Join('\n', request.Messages.Where(message => message?.Role == "user").Select(message => message?.Content));
        CaptionsResponse captions = await call.Caption(http, images, new CompatibleRequest(model, prompt), aborted);
        long took = Nanoseconds(time.GetElapsedTime(began).TotalMilliseconds);
        return Line(new OllamaAnswered(model, time.GetUtcNow(), new ChatMessage("assistant", OpenAi.Lines(captions, 0)), true, "stop",
            took, 0, 0, Nanoseconds(captions.Timings.EncodeMs), ChatUsage.Words(captions), Nanoseconds(captions.Timings.DecodeMs)), request.Stream);
    }

    private static async Task<Ok<OllamaShown>> Show(HttpContext http, ModelChoice choice, CancellationToken aborted)
    {
        OllamaShowRequest request = await CompatibleCall.Read<OllamaShowRequest>(http.Request, aborted);
        RegisteredModel model = choice.Of(request.Model ?? request.Name, null, default);
        return TypedResults.Ok(new OllamaShown("", "", "", "", OllamaDetails.Of(model), new Dictionary<string, string> { ["general.architecture"] = "captionservice" },
            ["completion", "vision"], model.CreatedAt));
    }

    private static IResult Line<T>(T answer, bool? stream) => stream == false
        ? TypedResults.Ok(answer)
        : TypedResults.Text(JsonSerializer.Serialize(answer, Json.Answers) + "\n", "application/x-ndjson");

    private static OllamaModels Listed(ModelChoice choice) => new([.. choice.Listed.Select(listed => new OllamaModel(listed.Name, listed.Name, listed.Model.CreatedAt,
        new DirectoryInfo(listed.Model.Folder).EnumerateFiles().Sum(file => file.Length), listed.Model.Card.Digest, OllamaDetails.Of(listed.Model),
        DateTimeOffset.MaxValue.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture), 0))]);

    private static long Nanoseconds(double milliseconds) => (long)(milliseconds * 1_000_000);
}

/// <summary>What is read of a request to generate.</summary>
internal sealed record OllamaGenerateRequest(string? Model, string? Prompt, IReadOnlyList<JsonPhoto?>? Images, bool? Stream);

/// <summary>What is read of a request to chat.</summary>
internal sealed record OllamaChatRequest(string? Model, IReadOnlyList<OllamaTurn?>? Messages, bool? Stream);

/// <summary>A message with its photos.</summary>
internal sealed record OllamaTurn(string? Role, string? Content, IReadOnlyList<JsonPhoto?>? Images);

/// <summary>Whose abilities are asked for.</summary>
internal sealed record OllamaShowRequest(string? Model, string? Name);

/// <summary>What was generated; times in nanoseconds, words as tokens.</summary>
public sealed record OllamaGenerated(string Model, [property: JsonPropertyName("created_at")] DateTimeOffset CreatedAt, string Response, bool Done,
    [property: JsonPropertyName("done_reason")] string DoneReason, [property: JsonPropertyName("total_duration")] long TotalDuration,
    [property: JsonPropertyName("load_duration")] long LoadDuration, [property: JsonPropertyName("prompt_eval_count")] int PromptEvalCount,
    [property: JsonPropertyName("prompt_eval_duration")] long PromptEvalDuration, [property: JsonPropertyName("eval_count")] int EvalCount,
    [property: JsonPropertyName("eval_duration")] long EvalDuration);

/// <summary>A chat's answer; times in nanoseconds, words as tokens.</summary>
public sealed record OllamaAnswered(string Model, [property: JsonPropertyName("created_at")] DateTimeOffset CreatedAt, ChatMessage Message, bool Done,
    [property: JsonPropertyName("done_reason")] string DoneReason, [property: JsonPropertyName("total_duration")] long TotalDuration,
    [property: JsonPropertyName("load_duration")] long LoadDuration, [property: JsonPropertyName("prompt_eval_count")] int PromptEvalCount,
    [property: JsonPropertyName("prompt_eval_duration")] long PromptEvalDuration, [property: JsonPropertyName("eval_count")] int EvalCount,
    [property: JsonPropertyName("eval_duration")] long EvalDuration);

/// <summary>The models.</summary>
public sealed record OllamaModels(IReadOnlyList<OllamaModel> Models);

/// <summary>A model as Ollama lists one.</summary>
public sealed record OllamaModel(string Name, string Model, [property: JsonPropertyName("modified_at")] DateTimeOffset ModifiedAt, long Size, string Digest, OllamaDetails Details,
    [property: JsonPropertyName("expires_at")] string ExpiresAt, [property: JsonPropertyName("size_vram")] long SizeVram);

/// <summary>What kind of model it is.</summary>
public sealed record OllamaDetails([property: JsonPropertyName("parent_model")] string ParentModel, string Format, string Family, IReadOnlyList<string> Families,
    [property: JsonPropertyName("parameter_size")] string ParameterSize, [property: JsonPropertyName("quantization_level")] string QuantizationLevel)
{
    internal static OllamaDetails Of(RegisteredModel model) => new("", "safetensors", "captionservice", ["captionservice"], "", "F16");
}

/// <summary>A model's abilities.</summary>
public sealed record OllamaShown(string License, string Modelfile, string Parameters, string Template, OllamaDetails Details,
    [property: JsonPropertyName("model_info")] IReadOnlyDictionary<string, string> ModelInfo, IReadOnlyList<string> Capabilities,
    [property: JsonPropertyName("modified_at")] DateTimeOffset ModifiedAt);

/// <summary>Version of the protocol.</summary>
public sealed record OllamaVersion(string Version);

/// <summary>Ollama's object for a failure, with this service's code.</summary>
public sealed record OllamaError(string Error, string Code)
{
    internal static OllamaError Of(ProblemKind kind, string detail) => new(detail, kind.Code);
}
