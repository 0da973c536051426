using System.Runtime.CompilerServices;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Tests;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

// torch's random generator and its threads belong to the whole process: tests that seed one must not meet.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(SharedFeatures))]

namespace CaptionService.Trainer.Tests;

internal static class Torch
{
    // Before the first tensor of any test: test projects run side by side on the same cores.
    // The process sees a single processor (testconfig.json): two threads of products this small wait for each other, and for whoever has the other core.
    [ModuleInitializer]
    internal static void Configure() => TorchRuntime.Configure();
}
