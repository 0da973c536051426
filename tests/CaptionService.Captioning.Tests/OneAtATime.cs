using System.Runtime.CompilerServices;
using CaptionService.Captioning.Torch;
using Xunit.Sdk;
using Xunit.v3;

// torch's random generator and its threads belong to the whole process: tests that seed one must not meet.
[assembly: Parallelization(Mode = ParallelMode.None)]

namespace CaptionService.Captioning.Tests;

internal static class Torch
{
    // Before the first tensor of any test: test projects run side by side on the same cores.
    [ModuleInitializer]
    internal static void Configure() => TorchRuntime.Configure();
}
