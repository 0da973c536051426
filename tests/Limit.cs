using System.Runtime.CompilerServices;

namespace CaptionService;

// The tests' own [Fact] and [Theory]: of two attributes of a name, the compiler takes the one in the enclosing namespace.
// So no test can do without a limit. It is far beyond what any takes: it ends what hangs, and measures nothing.

/// <summary>A test that fails by its name when it hangs.</summary>
internal sealed class FactAttribute : Xunit.FactAttribute
{
    public FactAttribute([CallerFilePath] string? file = null, [CallerLineNumber] int line = -1) : base(file, line) => Timeout = Limit.Milliseconds;
}

/// <summary>A test over data that fails by its name when it hangs.</summary>
internal sealed class TheoryAttribute : Xunit.TheoryAttribute
{
    public TheoryAttribute([CallerFilePath] string? file = null, [CallerLineNumber] int line = -1) : base(file, line) => Timeout = Limit.Milliseconds;
}

internal static class Limit
{
    // Below --hangdump-timeout of Directory.Build.props, which ends what this cannot: fixtures, and a pool without a free thread.
    public const int Milliseconds = 10 * 60 * 1000;
}
