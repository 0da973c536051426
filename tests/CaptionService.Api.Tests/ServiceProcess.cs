using System.Diagnostics;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests;

/// <summary>The program as it is started by hand, beside the tests.</summary>
internal sealed class ServiceProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly TaskCompletionSource<Uri> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<string> _log = [];

    public ServiceProcess(params (string Name, string Value)[] environment) : this([], environment)
    {
    }

    private ServiceProcess(string[] under, (string Name, string Value)[] environment)
    {
        string[] command = [.. under, "dotnet", Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), "--urls", "http://127.0.0.1:0"];
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) => Add(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>It resolves names as a file in the manner of resolv.conf says, in a mount namespace of its own.</summary>
    public static ServiceProcess WithResolver(string file, params (string Name, string Value)[] environment) =>
        new(["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", file], environment);

    public string Log
    {
        get { lock (_log) { return string.Join('\n', _log); } }
    }

    public async Task<HttpClient> Ready()
    {
        Uri address = await _listening.Task.WaitAsync(Service.Cancellation);
        var client = new HttpClient(new SocketsHttpHandler { Expect100ContinueTimeout = Timeout.InfiniteTimeSpan }) { BaseAddress = address, Timeout = TimeSpan.FromMinutes(2) };
        client.DefaultRequestHeaders.ExpectContinue = true;
        while ((await Answer.Get(client, "/health/ready")).Status != 200)
        {
            await Task.Delay(50, Service.Cancellation);
        }
        return client;
    }

    public void Terminate() => Process.Start("kill", ["-TERM", $"{_process.Id}"]).Dispose();

    public async Task<int> Exit()
    {
        await _process.WaitForExitAsync(Service.Cancellation);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync(CancellationToken.None);
        }
        _process.Dispose();
    }

    private void Add(string? line)
    {
        if (line is null)
        {
            return;
        }
        lock (_log)
        {
            _log.Add(line);
        }
        if (line.Contains("Now listening on", StringComparison.Ordinal))
        {
            _listening.TrySetResult(new Uri((string)JsonNode.Parse(line)!["address"]!));
        }
    }
}
