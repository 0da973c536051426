using System.Diagnostics;
using System.Text.Json.Nodes;
using CaptionService.Tests;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>npm's clients, unmodified, through Node. <c>npm install --prefix artifacts/node</c> restores them, as .ci/run does.</summary>
public sealed class NodeClientsTests(Service service)
{
    private static readonly string s_packages = Path.Combine(Repository.Root, "artifacts", "node");

    [Fact]
    public async Task Clients_of_OpenAI_Ollama_Azure_and_Hugging_Face_read_the_captions_and_the_refusals()
    {
        Assert.SkipUnless(OnPath("node"), "Node is not installed.");
        Assert.SkipUnless(Directory.Exists(Path.Combine(s_packages, "node_modules", "openai")), "npm's packages are not restored to artifacts/node.");
        File.Copy(Path.Combine(Repository.Root, "tests", "CaptionService.Api.Tests", "Compatible", "node", "clients.mjs"), Path.Combine(s_packages, "clients.mjs"), overwrite: true);
        JsonArray captions = (await service.Caption(Photos.Cat)).Captions();
        string best = (string)captions[0]!["text"]!;
        string german = (await service.Caption(Photos.Cat, "?language=de")).Best();

        JsonNode read = await Run("clients.mjs", service.Client.BaseAddress!.ToString().TrimEnd('/'), Path.Combine(AppContext.BaseDirectory, "samples", "cat.jpg"));

        AssertJson(new JsonArray(best, (string)captions[1]!["text"]!), read["openai"]);
        AssertJson(new JsonArray(best, best.Split(' ').Length), read["openaiStream"]);
        AssertJson(german, read["openaiResponse"]);
        Assert.Equal(["llava", "everyday-en"], read["openaiModels"]!.AsArray().Select(model => (string?)model).Take(2));
        AssertJson(new JsonArray(404, "model_not_found", "invalid_request_error"), read["openaiError"]);
        AssertJson(best, read["ollama"]);
        AssertJson(new JsonArray(new JsonArray(german, true)), read["ollamaStream"]);
        Assert.Contains("llava", read["ollamaModels"]!.AsArray().Select(model => (string?)model));
        AssertJson(new JsonArray("completion", "vision"), read["ollamaShow"]);
        Assert.Equal(404, (int)read["ollamaError"]![0]!);
        AssertJson(new JsonArray(best, captions[0]!["confidence"]!.DeepClone(), new JsonObject { ["x"] = 0, ["y"] = 0, ["w"] = 451, ["h"] = 300 }, new JsonObject { ["width"] = 451, ["height"] = 300 }), read["azure"]);
        AssertJson(new JsonArray("400", "InvalidRequest", "invalid_option"), read["azureError"]);
        AssertJson(best, read["huggingFace"]);
        AssertJson("model_not_found", read["huggingFaceError"]);
    }

    private static void AssertJson(JsonNode expected, JsonNode? found) => Assert.True(JsonNode.DeepEquals(expected, found), $"{expected.ToJsonString()} expected, {found?.ToJsonString()} found");

    private static bool OnPath(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    private static async Task<JsonNode> Run(params string[] arguments)
    {
        using Process node = Process.Start(new ProcessStartInfo("node", arguments) { WorkingDirectory = s_packages, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = node.StandardError.ReadToEndAsync(Service.Cancellation);
        string output = await node.StandardOutput.ReadToEndAsync(Service.Cancellation);
        await node.WaitForExitAsync(Service.Cancellation);
        Assert.True(node.ExitCode == 0, await errors);
        return JsonNode.Parse(output)!;
    }
}
