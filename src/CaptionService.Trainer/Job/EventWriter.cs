using System.Text.Json;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Trainer.Job;

/// <summary>
/// Writes <c>events.jsonl</c>: numbered without gaps over all attempts. A resumed run makes the same steps again and would
/// report them again: an event about a step that is in the file already is left out.
/// </summary>
internal sealed class EventWriter : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, long> _last = [];        // type (and code or language) → greatest step written
    private long _id;

    private readonly Fence? _fence;

    /// <param name="path">The file; what a crash cut off at its end is taken away.</param>
    /// <param name="time">The clock.</param>
    /// <param name="fence">Asked before each event; null: nobody else may write.</param>
    public EventWriter(string path, TimeProvider time, Fence? fence = null)
    {
        _time = time;
        _fence = fence;
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        long end = 0;
        using (var reader = new StreamReader(_file, leaveOpen: true))
        {
            string text = reader.ReadToEnd();
            foreach (string line in text.Split('\n'))
            {
                if (end + line.Length >= text.Length)
                    break;                                      // no line feed: cut by a crash, written again below
                var e = JsonSerializer.Deserialize<TrainingEvent>(line, TrainingEvent.Json)!;
                _id = e.Id;
                if (e.Data.TryGetProperty("step", out var step))
                {
                    string key = Key(e.Type, e.Data.TryGetProperty("code", out var code) || e.Data.TryGetProperty("language", out code) ? code.GetString() : null);
                    _last[key] = Math.Max(_last.GetValueOrDefault(key, -1), step.GetInt64());
                }
                end += line.Length + 1;
            }
            end = System.Text.Encoding.UTF8.GetByteCount(text.AsSpan(0, (int)end));
        }
        _file.SetLength(end);
        _file.Seek(end, SeekOrigin.Begin);
    }

    /// <summary>Appends an event of no particular step.</summary>
    public void Write(string type, object data)
    {
        _fence?.Check();
        var e = new TrainingEvent(++_id, _time.GetUtcNow(), type, JsonSerializer.SerializeToElement(data, TrainingEvent.Json));
        _file.Write(JsonSerializer.SerializeToUtf8Bytes(e, TrainingEvent.Json));
        _file.WriteByte((byte)'\n');
        _file.Flush();
    }

    /// <summary>Appends an event of a step, once; <paramref name="data"/> must carry the step, and the code or language, too.</summary>
    /// <returns>Whether it was written.</returns>
    public bool WriteOnce(string type, long step, object data, string? code = null)
    {
        string key = Key(type, code);
        if (_last.GetValueOrDefault(key, -1) >= step)
            return false;
        _last[key] = step;
        Write(type, data);
        return true;
    }

    /// <summary>Appends a warning of a step, once for each code.</summary>
    public void Warn(long step, string code, string message) => WriteOnce("warning", step, new { step, code, message }, code);

    private static string Key(string type, string? code) => code is null ? type : $"{type} {code}";

    public void Dispose() => _file.Dispose();
}
