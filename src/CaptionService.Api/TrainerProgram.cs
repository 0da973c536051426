using System.ComponentModel;
using System.Diagnostics;

namespace CaptionService.Api;

/// <summary>The trainer as a program beside this one: started with low priority and held by its standard input, so that it stops when the server is gone.</summary>
internal static class TrainerProgram
{
    /// <summary>Where the trainer is: beside the server, where builds and images put it.</summary>
    public static string Path => System.IO.Path.Combine(AppContext.BaseDirectory, "CaptionService.Trainer.dll");

    /// <summary>Starts it. Its standard output and error can be read; its standard input must be kept open.</summary>
    public static Process Start(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && System.IO.Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet", [Path, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process = Process.Start(start)!;
        try
        {
            process.PriorityClass = ProcessPriorityClass.Idle;      // captions come first
        }
        catch (Exception gone) when (gone is InvalidOperationException or Win32Exception)
        {
            // It has ended already, or the system does not allow it.
        }
        return process;
    }
}
