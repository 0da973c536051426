using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Captions;

/// <summary>
/// Decodes photos from outside in processes of their own: a file that crashes libvips, or takes too long or too much memory, ends
/// its decoder and is refused; nothing else is lost. A decoder is started when it is needed and answers one photo after the other.
/// </summary>
internal sealed partial class PhotoDecoder(IOptions<CaptioningOptions> options, TimeProvider time, ILogger<PhotoDecoder> logger)
    : IHostedService, IDisposable
{
    /// <summary>The program's argument that makes it a decoder.</summary>
    public const string Verb = "decode";

    private static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(20);

    private static readonly string[] s_environment = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "SystemRoot", "MALLOC_ARENA_MAX"];

    private readonly ConcurrentBag<Process> _idle = [];
    private readonly SemaphoreSlim _turn = new(options.Value.EffectiveDecoders);

    /// <summary>Decodes a file.</summary>
    /// <exception cref="PhotoRejectedException">The bytes are no whole photo, exceed a limit, or ended their decoder.</exception>
    public async Task<Photo> Decode(ReadOnlyMemory<byte> bytes, CancellationToken aborted)
    {
        await _turn.WaitAsync(aborted);
        try
        {
            return options.Value.DecoderProcesses == 0 ? Photo.Decode(bytes) : Ask(bytes.Span);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Has one decoder wait for the first photo.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.Value.DecoderProcesses != 0)
            _idle.Add(Start());
        return Task.CompletedTask;
    }

    /// <inheritdoc />
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;       // photos that were accepted may still come

    private Photo Ask(ReadOnlySpan<byte> bytes)
    {
        Process decoder = _idle.TryTake(out Process? idle) && !idle.HasExited ? idle : Start();
        bool whole = false;
        try
        {
            using ITimer limit = time.CreateTimer(_ => Kill(decoder), null, MaxTime, Timeout.InfiniteTimeSpan);
            Photo photo = PhotoPipe.Ask(decoder.StandardInput.BaseStream, decoder.StandardOutput.BaseStream, bytes);
            whole = true;
            return photo;
        }
        catch (PhotoRejectedException)
        {
            whole = true;
            throw;
        }
        catch (IOException ended)
        {
            Log.Ended(logger, bytes.Length);
            throw PhotoPipe.Ended(bytes, ended);
        }
        finally
        {
            if (whole)
                _idle.Add(decoder);
            else
                End(decoder);
        }
    }

    private static Process Start()
    {
        var start = new ProcessStartInfo(DotnetHost.Path, [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), Verb])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The server's settings, secrets among them, are none of its business.
        foreach (string name in start.Environment.Keys.ToArray())
        {
            if (!s_environment.Contains(name) && !name.StartsWith("DOTNET_", StringComparison.Ordinal))
                start.Environment.Remove(name);
        }
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        start.Environment["DOTNET_TieredPGO"] = "0";
        start.Environment["DOTNET_GCHeapHardLimit"] = 150_000_000.ToString("x", CultureInfo.InvariantCulture);
        Process process = Process.Start(start)!;
        process.ErrorDataReceived += static (_, _) => { };      // what libraries say of a stranger's photo is nobody's business
        process.BeginErrorReadLine();
        return process;
    }

    private static void Kill(Process decoder)
    {
        try
        {
            decoder.Kill();
        }
        catch (InvalidOperationException)
        {
            // It was answered just then, and let go.
        }
    }

    private static void End(Process decoder)
    {
        Kill(decoder);
        decoder.Dispose();
    }

    /// <inheritdoc />
    public void Dispose()
    {
        while (_idle.TryTake(out Process? decoder))
            End(decoder);
        _turn.Dispose();
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "A photo of {Bytes} bytes ended its decoder and is refused")]
        public static partial void Ended(ILogger logger, int bytes);
    }
}
