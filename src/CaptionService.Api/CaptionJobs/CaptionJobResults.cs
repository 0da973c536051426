using System.Globalization;
using System.Text;
using CaptionService.Api.Captions;
using CaptionService.Api.Storage;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.CaptionJobs;

/// <summary>Reads a job's results: a page as JSON, or as many as there are as JSON lines or CSV, streamed from the file.</summary>
internal static class CaptionJobResults
{
    /// <summary>JSON lines.</summary>
    public const string JsonLinesType = "application/x-ndjson";

    /// <summary>Comma-separated values (RFC 4180).</summary>
    public const string CsvType = "text/csv";

    /// <summary>Pages of JSON.</summary>
    public static readonly Paging Page = new(200, 1000);

    private static readonly Paging s_all = new(int.MaxValue, int.MaxValue);
    private const int FlushBytes = 64 * 1024;

    public static async Task<IResult> Get(HttpContext http, string id, CaptionDb db,
        IOptions<StorageOptions> storage, string? format, string? offset, string? limit, CancellationToken aborted)
    {
        string wanted = format ?? Accepted(http.Request);
        if (wanted is not ("json" or "jsonl" or "csv"))
            throw new ProblemException(ProblemTable.InvalidOption,
                $"The option format is '{wanted.Quoted()}'; it must be json, jsonl or csv.");
        (int skip, int take) = (wanted == "json" ? Page : s_all).Read(offset, limit);
        CaptionJob job = await CaptionJobsApi.Find(db, id, aborted);
        IAsyncEnumerable<byte[]> lines = ResultsFile.Lines(Path.Combine(storage.Value.CaptionJobs, job.Id), skip, take, aborted);
        if (wanted == "json")
        {
            var page = new List<CaptionJobResult>();
            await foreach (byte[] line in lines)
                page.Add(ResultsFile.Parse(line));
            return TypedResults.Ok(new CaptionJobResultsResponse(job.Photos, skip, page));
        }
        http.Response.ContentType = (wanted == "csv" ? CsvType : JsonLinesType) + "; charset=utf-8";
        http.Response.Headers.Vary = "Accept";
        var text = new MemoryStream();
        if (wanted == "csv")
            text.Write("number,name,width,height,language,rank,caption,logProbability,confidence,reason,problem,detail\r\n"u8);
        await foreach (byte[] line in lines)
        {
            if (wanted == "csv")
                text.Write(Encoding.UTF8.GetBytes(Rows(ResultsFile.Parse(line))));
            else
            {
                text.Write(line);
                text.WriteByte((byte)'\n');
            }
            if (text.Length >= FlushBytes)
                await Send();
        }
        await Send();
        return TypedResults.Empty;

        async Task Send()
        {
            await http.Response.Body.WriteAsync(text.GetBuffer().AsMemory(0, (int)text.Length), aborted);
            text.SetLength(0);
        }
    }

    // The first that is known, in the order of the header.
    private static string Accepted(HttpRequest request) =>
        request.GetTypedHeaders().Accept.OrderByDescending(type => type.Quality ?? 1).Select(type => type.MediaType.ToString() switch
    {
        CsvType => "csv",
        JsonLinesType or "application/jsonl" => "jsonl",
        "application/json" => "json",
        _ => null,
    }).FirstOrDefault(found => found is not null) ?? "json";

    private static string Rows(CaptionJobResult result)
    {
        string photo = string.Create(CultureInfo.InvariantCulture, $"{result.Number},{Cell(result.Name)},{result.Width},{result.Height}");
        return result.Problem is { } problem
            ? $"{photo},,,,,,,{Cell(problem.Extensions.TryGetValue("code", out object? code) ? code?.ToString() : null)},{Cell(problem.Detail)}\r\n"
            : string.Concat((result.Captions ?? []).Select(caption => Row(photo, caption)));
    }

    private static string Row(string photo, RankedCaption caption) =>
        string.Create(CultureInfo.InvariantCulture,
            $"{photo},{caption.Language},{caption.Rank},{Cell(caption.Text)},{caption.LogProbability},{caption.Confidence},{caption.Reason},,\r\n");

    private static string Cell(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return "";
        text = text[0] is '=' or '+' or '-' or '@' or '\t' or '\r' ? "'" + text : text;
        return text.AsSpan().ContainsAny(",\"\r\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
    }
}

/// <summary>A page of results.</summary>
/// <param name="Photos">Photos of the job in all; not each has a result yet.</param>
/// <param name="Offset">How many are before this page.</param>
/// <param name="Results">The page, in the order of the photos.</param>
public sealed record CaptionJobResultsResponse(int Photos, int Offset, IReadOnlyList<CaptionJobResult> Results);
