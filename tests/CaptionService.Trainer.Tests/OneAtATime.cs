using Xunit;

// torch's random generator and its threads belong to the whole process: tests that seed one must not meet.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
