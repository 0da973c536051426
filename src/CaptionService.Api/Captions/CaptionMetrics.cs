using System.Diagnostics.Metrics;
using CaptionService.Captioning;

namespace CaptionService.Api.Captions;

/// <summary>What the worker measures; requests and their durations are in ASP.NET Core's own <c>http.server.*</c>.</summary>
public sealed class CaptionMetrics
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = Telemetry.MeterName;

    private readonly Counter<long> _photos, _remembered;
    private readonly Histogram<int> _batchSize;
    private readonly Histogram<double> _queueDuration;
    private readonly Histogram<double> _encodeDuration;
    private readonly Histogram<double> _searchDuration;

    /// <summary>Creates the instruments.</summary>
    public CaptionMetrics(IMeterFactory meters, CaptionQueue queue)
    {
        ArgumentNullException.ThrowIfNull(meters);
        Meter meter = meters.Create(MeterName);
        var seconds = new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] };
        meter.CreateObservableUpDownCounter("caption.queue.length", () => queue.Length, "{photo}", "Photos waiting.");
        _photos = meter.CreateCounter<long>("caption.photos", "{photo}", "Photos answered; error.type on those that failed.");
        _remembered = meter.CreateCounter<long>("caption.cache.hits", "{photo}", "Photos answered from memory, which no model saw.");
        _batchSize = meter.CreateHistogram("caption.batch.size", "{photo}", "Photos in one pass of the encoder; the count is that of the passes.",
            advice: new InstrumentAdvice<int> { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64] });
        _queueDuration = meter.CreateHistogram("caption.queue.duration", "s", "Time of a photo in the queue.", advice: seconds);
        _encodeDuration = meter.CreateHistogram("caption.encode.duration", "s", "Time of a batch in the encoder.", advice: seconds);
        _searchDuration = meter.CreateHistogram("caption.search.duration", "s", "Time of a batch in the decoders and the search.", advice: seconds);
    }

    internal void Remembered() => _remembered.Add(1);

    internal void Queued(TimeSpan waited) => _queueDuration.Record(waited.TotalSeconds);

    // The times of a batch that waited behind are not its own alone: others passed it meanwhile.
    internal void Captioned(CaptionedBatch batch, int answered, bool behind)
    {
        _photos.Add(answered);
        if (behind)
            return;
        _batchSize.Record(batch.Encoded);
        _encodeDuration.Record(batch.Encode.TotalSeconds);
        _searchDuration.Record(batch.Decode.TotalSeconds);
    }

    internal void Failed(int photos, ProblemKind kind) => _photos.Add(photos, new KeyValuePair<string, object?>("error.type", kind.Code));
}
