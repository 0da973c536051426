using System.ComponentModel.DataAnnotations;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;
using Precision = CaptionService.Captioning.Encoders.EncoderPrecision;

namespace CaptionService.Api.Captions;

/// <summary>Settings of captioning: section <c>Captioning</c> of the configuration, or <c>Captioning__Name</c> in the environment.</summary>
public sealed class CaptioningOptions
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Captioning";

    /// <summary>Most photos in one request.</summary>
    public const int MaxPhotos = 16;

    /// <summary>Largest JSON body, in bytes. Its photos are held in memory together, those of a form one at a time.</summary>
    public const long MaxJsonBytes = 64_000_000;

    /// <summary>Largest form, in bytes: the photos, and 64 KB for what is between them.</summary>
    public const long MaxFormBytes = MaxPhotos * PhotoLimits.MaxBytes + 64 * 1024;

    /// <summary>A model bundle, or a folder of bundles, one for each language. Default: the models that are shipped with the program.</summary>
    [Required]
    public string ModelFolder { get; init; } = DefaultModels.Folder;

    /// <summary>How the encoder runs: <c>auto</c> (default), the fastest that this machine is measured to have; or one that is forced.</summary>
    [AllowedValues(Precision.Auto, Precision.Fp32, Precision.Bf16, Precision.InInt8, ErrorMessage = "Captioning:EncoderPrecision must be auto, float32, bfloat16 or int8.")]
    public string EncoderPrecision { get; init; } = Precision.Auto;

    /// <summary>Most photos in one batch: 1 to 64. More gains little on a CPU and makes each caller of the batch wait longer.</summary>
    [Range(1, 64)]
    public int MaxBatchSize { get; init; } = 8;

    /// <summary>Most photos waiting: 16 (one full request) to 10,000. A photo waits as 150 KB of pixels.</summary>
    [Range(MaxPhotos, 10_000)]
    public int QueueCapacity { get; init; } = 256;

    /// <summary>How long the first photo of a batch may wait for others: 0 to 1 second. At 0, what waits already is the batch.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:01")]
    public TimeSpan MaxQueueDelay { get; init; } = TimeSpan.Zero;

    /// <summary>Longest time from a request's entry into the queue to its captions: 1 second to 10 minutes; then 504.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Memory for captions of photos that come again, in MB: 0 (default, nothing is kept) to 10,000. A photo's take about 3 KB for each model.</summary>
    [Range(0, 10_000)]
    public int CacheMegabytes { get; init; }

    /// <summary>Processes that decode photos from outside, started as they are needed: 1 to 64, or 0: the server does it itself, and a photo that crashes
    /// libvips ends it. Default: one for each processor, at most 8.</summary>
    [Range(0, 64)]
    public int? DecoderProcesses { get; init; }

    /// <summary>Most photos that are decoded at once.</summary>
    public int EffectiveDecoders => DecoderProcesses is > 0 and var processes ? processes : Math.Min(Environment.ProcessorCount, 8);

    /// <summary>Confidence below which `purpose=alt` gives an empty text: 0 (never, not even where the model has no confidence) to 1. By default six of ten
    /// texts that are given are as close to people's as a middling human caption.</summary>
    [Range(0.0, 1.0)]
    public double AltMinConfidence { get; init; } = 0.55;
}
