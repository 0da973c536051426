using System.Text.Json;
using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Encoders;

namespace CaptionService.Api.CaptionJobs;

/// <summary>One photo of a job.</summary>
/// <param name="Name">What its owner calls it.</param>
/// <param name="Path">Where its bytes are; in the list, below the job's folder where it is relative.</param>
internal sealed record JobPhoto(string Name, string Path);

/// <summary>The list of a job's photos, a line of JSON each: written once, before the job is known.</summary>
internal static class JobPhotos
{
    private const string FileName = "photos.jsonl";

    /// <summary>Writes the list into a folder.</summary>
    public static void Write(string folder, IEnumerable<JobPhoto> photos)
    {
        using var file = new FileStream(Path.Combine(folder, FileName), FileMode.CreateNew);
        foreach (JobPhoto photo in photos)
        {
            JsonSerializer.Serialize(file, photo, Json.Answers);
            file.WriteByte((byte)'\n');
        }
        file.Flush(flushToDisk: true);
    }

    /// <summary>Reads the list, line by line as it is asked for.</summary>
    public static IEnumerable<JobPhoto> Read(string folder) => File.ReadLines(Path.Combine(folder, FileName))
        .Select(line => JsonSerializer.Deserialize<JobPhoto>(line, Json.Answers)!)
        .Select(photo => photo with { Path = Path.Combine(folder, photo.Path) });

    /// <summary>Reads and decodes a photo; what is wrong with it is its rejection.</summary>
    /// <param name="photo">The photo.</param>
    /// <param name="decoder">Decodes it.</param>
    /// <param name="followLinks">Whether its path may lead elsewhere: not in a folder that others write to.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<UploadedPhoto> Open(JobPhoto photo, PhotoDecoder decoder, bool followLinks, CancellationToken cancellation)
    {
        try
        {
            if (!followLinks && ServerFolder.WithoutLinks(photo.Path) != photo.Path)
                throw Gone();
            await using var file =
                new FileStream(photo.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0,
                    FileOptions.Asynchronous);
            return new UploadedPhoto(photo.Name, await decoder.Decode(await RequestBody.ReadPhoto(file, cancellation), cancellation), null);
        }
        catch (Exception rejection) when (rejection is PhotoRejectedException or ProblemException)
        {
            return new UploadedPhoto(photo.Name, null, rejection);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return new UploadedPhoto(photo.Name, null, Gone());
        }
    }

    private static ProblemException Gone() => new(ProblemTable.PhotoGone, "The file was there when the job began.");
}
