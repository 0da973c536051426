using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.TrainingJobs;

/// <summary>Follows a job's <c>events.jsonl</c>: whole lines only, each once.</summary>
internal sealed class EventFile(string path)
{
    private const int MaxBytes = 1 << 20;       // of one look

    private long _offset;                       // after the last whole line that was taken

    /// <summary>What came since, later than a number.</summary>
    /// <returns>The events, and what to call once they are stored: until then they are read again.</returns>
    public async Task<(IReadOnlyList<TrainingEvent> Events, Action Stored)> Read(long after, CancellationToken cancellation)
    {
        if (!File.Exists(path))
            return ([], () => { });
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        file.Seek(_offset, SeekOrigin.Begin);
        byte[] bytes = new byte[Math.Min(MaxBytes, Math.Max(0, file.Length - _offset))];
        int read = await file.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellation);
        int end = bytes.AsSpan(0, read).LastIndexOf((byte)'\n') + 1;
        var events = new List<TrainingEvent>();
        for (int start = 0; start < end;)
        {
            int length = bytes.AsSpan(start, end - start).IndexOf((byte)'\n');
            var e = JsonSerializer.Deserialize<TrainingEvent>(bytes.AsSpan(start, length), TrainingEvent.Json)!;
            if (e.Id > after)
                events.Add(e);
            start += length + 1;
        }
        long next = _offset + end;
        return (events, () => _offset = next);
    }
}
