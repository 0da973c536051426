using System.Diagnostics.Metrics;
using System.Text.Json;
using CaptionService.Api.Trainer;

namespace CaptionService.Api.TrainingJobs;

/// <summary>What is measured of training jobs.</summary>
internal sealed class TrainingMetrics
{
    private readonly Histogram<double> _attemptDuration;
    private int _active;

    /// <summary>Creates the instruments.</summary>
    public TrainingMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create(Telemetry.MeterName);
        meter.CreateObservableUpDownCounter("training.active_jobs", () => Volatile.Read(ref _active), "{job}",
            "Jobs whose trainer runs on this server.");
        _attemptDuration = meter.CreateHistogram("training.attempt.duration", "s",
            "Time of a trainer from its start to its end; training.outcome says which.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [10, 60, 300, 900, 3600, 10800, 36000, 86400, 259200] });
    }

    /// <summary>Measures a trainer from its start to its end.</summary>
    internal async Task<TrainerEnd> Measure(Func<Task<TrainerEnd>> trainer, TimeProvider time)
    {
        long started = time.GetTimestamp();
        Interlocked.Increment(ref _active);
        try
        {
            TrainerEnd end = await trainer();
            _attemptDuration.Record(time.GetElapsedTime(started).TotalSeconds,
                new KeyValuePair<string, object?>("training.outcome", JsonNamingPolicy.SnakeCaseLower.ConvertName(end.Outcome.ToString())));
            return end;
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }
}
