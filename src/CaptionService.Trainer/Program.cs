using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using System.Text.Json;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer;

/// <summary>The trainer: <c>train</c>, <c>evaluate</c>, <c>calibrate</c>, <c>quantize</c> and <c>inspect</c>; <see cref="Verbs"/> says how each is called.</summary>
public static class Program
{
    /// <summary>Runs a verb; see <see cref="TrainerExit"/> for what comes back.</summary>
    public static int Main(string[] args)
    {
        if (args is not ["inspect", ..])        // which loads libtorch only to measure
            TorchRuntime.Configure();
        using var stop = new CancellationTokenSource();
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        try
        {
            return Verbs.Run(args, new Progress(Console.Error, !Console.IsErrorRedirected), stop);
        }
        catch (Exception e) when (Ending(e) is not null)
        {
            var (exit, message) = Ending(e)!.Value;
            try
            {
                Console.Error.WriteLine(message);
            }
            catch (IOException)
            {
                // Where it goes may be on the disk that is full; the exit code says it too.
            }
            return exit;
        }
    }

    private static (int Exit, string Message)? Ending(Exception e) => e switch
    {
        ValidationException or JsonException => (TrainerExit.BadJob, e.Message),
        DatasetException or ModelBundleException => (TrainerExit.BadData, e.Message),
        OperationCanceledException => (TrainerExit.Stopped, "Stopped."),
        SupersededException => (TrainerExit.Superseded, e.Message),
        IOException full when TrainerExit.IsDiskFull(full) => (TrainerExit.DiskFull, $"The disk is full: {e.Message}"),
        _ => null,
    };
}
