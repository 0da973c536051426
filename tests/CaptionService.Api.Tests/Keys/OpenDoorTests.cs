using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Keys;

/// <summary>The program as people start it where others reach it: what it says, and whether it listens.</summary>
public sealed class OpenDoorTests(ShippedSmall shipped) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("captionservice-").FullName;

    [Theory]
    [InlineData("http://0.0.0.0:0")]
    [InlineData("http://[::]:0")]
    [InlineData("http://*:0")]
    [InlineData("http://some-name:0")]
    public async Task Without_a_key_the_service_refuses_to_listen_for_others_and_says_what_to_do(string url)
    {
        (int code, string said, string told) = await Run($"--urls={url}", $"--Captioning:ModelFolder={shipped.Folder}");
        Assert.Equal(1, code);
        Assert.Contains("keys create NAME --scope admin", told, StringComparison.Ordinal);
        Assert.Contains("Auth:Disabled=true", told, StringComparison.Ordinal);
        Assert.DoesNotContain("Now listening", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_first_key_that_can_be_guessed_or_not_read_is_refused()
    {
        Assert.Contains("32", (await Run("--urls=http://127.0.0.1:0", "--Auth:FirstKey=short")).Error, StringComparison.Ordinal);
        Assert.Contains("Auth:FirstKeyFile", (await Run("--urls=http://127.0.0.1:0", "--Auth:FirstKeyFile=/nowhere")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_from_the_command_line_opens_the_service_to_others()
    {
        (int code, string key, _) = await Run("keys", "create", "my phone", "--scope", "caption", "--days=30");
        Assert.Equal(0, code);
        using Process server = Start($"--urls=http://0.0.0.0:0", $"--Captioning:ModelFolder={shipped.Folder}");
        try
        {
            string? line;
            while ((line = await server.StandardOutput.ReadLineAsync(Service.Cancellation)) is not null && !line.Contains("Now listening", StringComparison.Ordinal))
            {
            }
            int port = new Uri(((string)JsonNode.Parse(line!)!["address"]!).Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal)).Port;
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
            (await Answer.Get(client, "/models")).IsProblem(401, "no_key");
            client.DefaultRequestHeaders.Authorization = new("Bearer", key.Trim());
            Assert.Equal(200, (await Answer.Get(client, "/models")).Status);
            (await Answer.Get(client, "/keys")).IsProblem(403, "scope_missing");

            // Beside the running server.
            (_, string list, _) = await Run("keys", "list");
            Assert.Contains("my phone", list, StringComparison.Ordinal);
            Assert.Equal(0, (await Run("keys", "revoke", list.Split(' ')[0])).Code);
            while ((await client.GetAsync("/models", Service.Cancellation)).StatusCode != HttpStatusCode.Unauthorized)
            {
                await Task.Delay(100, Service.Cancellation);
            }
        }
        finally
        {
            server.Kill();
            await server.WaitForExitAsync(CancellationToken.None);
        }
        Assert.Contains("no key", (await Run("--urls=http://0.0.0.0:0")).Error, StringComparison.Ordinal);     // a revoked one opens nothing
    }

    [Fact]
    public async Task A_wrong_command_is_told()
    {
        (int code, _, string told) = await Run("keys", "create", "me", "--scope", "everything");
        Assert.Equal(2, code);
        Assert.Contains("caption, train or admin", told, StringComparison.Ordinal);
        Assert.Equal(2, (await Run("keys")).Code);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Process Start(params string[] arguments) => Process.Start(new ProcessStartInfo("dotnet",
        [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), .. arguments, "--Storage:Folder=" + _folder])
    { RedirectStandardOutput = true, RedirectStandardError = true })!;

    private async Task<(int Code, string Output, string Error)> Run(params string[] arguments)
    {
        using Process program = Start(arguments);
        Task<string> error = program.StandardError.ReadToEndAsync(Service.Cancellation);
        string output = await program.StandardOutput.ReadToEndAsync(Service.Cancellation);
        await program.WaitForExitAsync(Service.Cancellation);
        return (program.ExitCode, output, await error);
    }
}
