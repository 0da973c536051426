using CaptionService.Trainer.Tests;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

// torch's random generator and its threads belong to the whole process: tests that seed one must not meet.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(SharedFeatures))]
