using System.Diagnostics;
using System.Globalization;

namespace CaptionService.Api.Trainer;

/// <summary>
/// A trainer: a process of its own, last in line for processor and disk. Its standard input is held open. When it closes,
/// because the server asks or is gone, the trainer saves and stops.
/// </summary>
internal sealed class TrainerProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task _output;

    private TrainerProcess(Process process, Task output) => (_process, _output) = (process, output);

    /// <summary>The process id.</summary>
    public int Id => _process.Id;

    /// <summary>Starts a trainer.</summary>
    /// <param name="arguments">Verb and what follows; <c>--attached</c> where it is to stop with this server.</param>
    /// <param name="log">File to which its output is appended.</param>
    /// <param name="settings">Threads, priority, GPUs.</param>
    public static TrainerProcess Start(IReadOnlyList<string> arguments, string log, TrainerOptions settings)
    {
        List<string> command = [DotnetHost.Path, Path.Combine(AppContext.BaseDirectory, "CaptionService.Trainer.dll"), .. arguments];
        bool unix = !OperatingSystem.IsWindows();
        if (unix)
        {
            // The priority must hold for every thread, so it is set before the program begins. The log is the child's own
            // file, not a pipe: what it says at the end is not lost with this server.
            string[] nice = Found("nice") ? ["nice", "-n", settings.Niceness.ToString(CultureInfo.InvariantCulture)] : [];
            string[] ionice = settings.Niceness > 0 && Found("ionice") ? ["ionice", "-t", "-c", "3"] : [];
            command = ["/bin/sh", "-c", "exec \"$@\" >> \"$0\" 2>&1", log, .. ionice, .. nice, .. command];
        }
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = !unix,
            RedirectStandardError = !unix,
        };
        string threads = settings.EffectiveThreads.ToString(CultureInfo.InvariantCulture);
        start.Environment["DOTNET_PROCESSOR_COUNT"] = settings.EffectiveThreads.ToString("x", CultureInfo.InvariantCulture);     // the runtime reads hexadecimal
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        start.Environment["OMP_NUM_THREADS"] = threads;
        // Two programs whose threads spin while they wait take each other's processors: ten times slower.
        start.Environment["OMP_WAIT_POLICY"] = "passive";
        start.Environment["GOMP_SPINCOUNT"] = "0";
        start.Environment["KMP_BLOCKTIME"] = "0";
        if (settings.CudaDevices is { } devices)
            start.Environment["CUDA_VISIBLE_DEVICES"] = devices;
        if (settings.CudaMemoryFraction is { } fraction)
        {
            // libtorch's own setting, added to what the operator has set. Of its two names the newer one counts.
            const string Name = "PYTORCH_ALLOC_CONF";
            string? others = start.Environment.TryGetValue(Name, out string? set) || start.Environment.TryGetValue("PYTORCH_CUDA_ALLOC_CONF", out set) ? set : null;
            start.Environment[Name] = string.Create(CultureInfo.InvariantCulture, $"{others}{(string.IsNullOrEmpty(others) ? "" : ",")}per_process_memory_fraction:{fraction}");
        }
        foreach (string own in start.Environment.Keys.Where(k => k.StartsWith("ConnectionStrings", StringComparison.OrdinalIgnoreCase) || k.StartsWith("ASPNETCORE", StringComparison.OrdinalIgnoreCase)).ToArray())
        {
            start.Environment.Remove(own);      // the server's business, secrets among it
        }
        Process process = Process.Start(start)!;
        if (!unix && settings.Niceness > 0)
            process.PriorityClass = ProcessPriorityClass.BelowNormal;
        return new TrainerProcess(process, unix ? Task.CompletedTask : Copy(process, log));
    }

    /// <summary>Asks it to save and stop.</summary>
    public void Stop() => _process.StandardInput.Close();

    /// <summary>Ends it and what it started, at once.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>The exit code; 128 and the signal's number where a signal ended it.</returns>
    public async Task<int> Ended()
    {
        await _process.WaitForExitAsync();
        await _output;
        return _process.ExitCode;
    }

    /// <summary>Kills it where it still runs.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }

    private static async Task Copy(Process process, string log)
    {
        await using var file = new FileStream(log, FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
        await Task.WhenAll(process.StandardOutput.BaseStream.CopyToAsync(file), process.StandardError.BaseStream.CopyToAsync(file));
    }

    private static bool Found(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));
}
