using System.ComponentModel.DataAnnotations;

namespace CaptionService.Api.Trainer;

/// <summary>How trainer processes share the machine with captioning: section <c>Training</c> of the configuration, or <c>Training__Name</c> in the environment.</summary>
public sealed class TrainerOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Training";

    /// <summary>Threads of each trainer: 0 to 256; 0 (default): half of the processors, so that captioning has the others.</summary>
    [Range(0, 256)]
    public int Threads { get; init; }

    /// <summary>Niceness of a trainer: 0 (as captioning) to 19 (only what nobody else wants).</summary>
    [Range(0, 19)]
    public int Niceness { get; init; } = 10;

    /// <summary>GPUs a trainer sees, as <c>CUDA_VISIBLE_DEVICES</c> has them: a device of its own keeps captioning's memory free. Default: all.</summary>
    public string? CudaDevices { get; init; }

    /// <summary>
    /// Share of a GPU's memory that libtorch may take in a trainer: 0.01 to 1, so that captioning keeps the rest of the same GPU.
    /// A trainer that needs more fails. CUDA's own few hundred MB for a process come on top. Default: no limit.
    /// </summary>
    [Range(0.01, 1.0)]
    public double? CudaMemoryFraction { get; init; }

    /// <summary>How long a trainer may take to save and stop before it is killed: 1 second to 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>How often a trainer's progress is looked at: 50 milliseconds to 10 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:00:10")]
    public TimeSpan Follow { get; init; } = TimeSpan.FromMilliseconds(500);

    internal int EffectiveThreads => Threads > 0 ? Threads : Math.Max(1, Environment.ProcessorCount / 2);
}
