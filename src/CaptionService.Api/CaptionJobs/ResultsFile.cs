using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Captions;
using Microsoft.AspNetCore.Mvc;

namespace CaptionService.Api.CaptionJobs;

/// <summary>
/// A job's results, a line of JSON for each photo, in the order of the photos: the number of lines is how far the job is.
/// Lines are only appended, and are on the disk before the next are made; what a crash left of a line is dropped when the file
/// is opened again, so that each photo has one line.
/// </summary>
internal sealed class ResultsFile : IDisposable
{
    private const string FileName = "results.jsonl";
    private const int BufferBytes = 64 * 1024;

    // In no text of JSON: a quote in it would be escaped.
    private static ReadOnlySpan<byte> HasProblem => ",\"problem\":{"u8;

    private readonly FileStream _file;

    /// <summary>Photos that have a result.</summary>
    public int Count { get; private set; }

    /// <summary>Those of them that have a problem.</summary>
    public int Problems { get; private set; }

    private ResultsFile(FileStream file) => _file = file;

    /// <summary>Opens, or begins, the results of a job.</summary>
    public static async Task<ResultsFile> Open(string folder, CancellationToken cancellation)
    {
        var results = new ResultsFile(
            new FileStream(Path.Combine(folder, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete));
        try
        {
            long whole = 0;
            await foreach (byte[] line in Lines(folder, 0, int.MaxValue, cancellation))
            {
                whole += line.Length + 1;
                results.Note(line);
            }
            results._file.SetLength(whole);
            results._file.Seek(0, SeekOrigin.End);
            return results;
        }
        catch
        {
            results.Dispose();
            throw;
        }
    }

    /// <summary>Appends results; they are on the disk when it returns.</summary>
    public void Append(IEnumerable<PhotoResult> photos)
    {
        using var lines = new MemoryStream();
        foreach (PhotoResult photo in photos)
        {
            byte[] line = JsonSerializer.SerializeToUtf8Bytes(CaptionJobResult.Of(Count + 1, photo), Json.Answers);
            lines.Write(line);
            lines.WriteByte((byte)'\n');
            Note(line);
        }
        _file.Write(lines.GetBuffer().AsSpan(0, (int)lines.Length));
        _file.Flush(flushToDisk: true);
    }

    /// <summary>Whole lines, without their ends, also while others are appended.</summary>
    /// <param name="folder">The job's folder.</param>
    /// <param name="skip">Lines to leave out.</param>
    /// <param name="take">Most lines.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async IAsyncEnumerable<byte[]> Lines(string folder, int skip, int take,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            yield break;
        await using var file =
            new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0,
                FileOptions.Asynchronous);
        PipeReader reader = PipeReader.Create(file, new StreamPipeReaderOptions(bufferSize: BufferBytes));
        for (int number = 0; take > 0;)
        {
            ReadResult read = await reader.ReadAsync(cancellation);
            ReadOnlySequence<byte> rest = read.Buffer;
            while (take > 0 && rest.PositionOf((byte)'\n') is { } end)
            {
                if (number++ >= skip)
                {
                    take--;
                    yield return rest.Slice(0, end).ToArray();
                }
                rest = rest.Slice(rest.GetPosition(1, end));
            }
            if (read.IsCompleted)
                yield break;
            reader.AdvanceTo(rest.Start, rest.End);
        }
    }

    /// <summary>What a line says.</summary>
    public static CaptionJobResult Parse(byte[] line) => JsonSerializer.Deserialize<CaptionJobResult>(line, Json.Answers)!;

    private void Note(ReadOnlySpan<byte> line)
    {
        Count++;
        if (line.IndexOf(HasProblem) >= 0)
            Problems++;
    }

    /// <inheritdoc />
    public void Dispose() => _file.Dispose();
}

/// <summary>One photo's captions, or its problem.</summary>
/// <param name="Number">1, 2, 3, … in the order of the photos.</param>
/// <param name="Name">Its name: the path in the archive or folder, or the data set's name for it.</param>
/// <param name="Width">Width of the photo as seen upright, in pixels.</param>
/// <param name="Height">Height of the photo as seen upright, in pixels.</param>
/// <param name="Captions">Language after language, in the order of the job's models; within each, best first.</param>
/// <param name="Problem">Why there are none, and what to do; then nothing else is here but number and name.</param>
public sealed record CaptionJobResult(
    int Number,
    string Name,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Width,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Height,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<RankedCaption>? Captions,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ProblemDetails? Problem)
{
    internal static CaptionJobResult Of(int number, PhotoResult photo) =>
        new(number, photo.Name ?? "", photo.Width, photo.Height, photo.Captions, photo.Problem);
}
