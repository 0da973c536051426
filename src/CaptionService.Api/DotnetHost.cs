using System.Runtime.InteropServices;

namespace CaptionService.Api;

/// <summary>The program that runs this one's code, for processes beside it.</summary>
internal static class DotnetHost
{
    /// <summary>The host that runs this program, or would: dotnet/shared/Microsoft.NETCore.App/VERSION is where its runtime is.</summary>
    public static string Path { get; } = Find();

    private static string Find()
    {
        string name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        string beside = System.IO.Path.GetFullPath(System.IO.Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return System.IO.Path.GetFileName(Environment.ProcessPath) == name ? Environment.ProcessPath! : File.Exists(beside) ? beside : name;
    }
}
