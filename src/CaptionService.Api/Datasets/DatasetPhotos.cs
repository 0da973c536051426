using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using Microsoft.AspNetCore.Http.HttpResults;

namespace CaptionService.Api.Datasets;

/// <summary>The photos of a data set as they came.</summary>
internal static class DatasetPhotos
{
    /// <summary>A photo's bytes. A data set never changes, so browsers may keep them.</summary>
    /// <exception cref="ProblemException">There is no such photo.</exception>
    public static PhysicalFileHttpResult Get(HttpResponse response, string folder, string name)
    {
        string path = Path.Combine(folder, DatasetFolder.Photos, name);
        if (Path.GetFileName(name) != name || name is "" or "." or ".." || name.Contains('\0') || !File.Exists(path))
            throw new ProblemException(ProblemTable.PhotoNotFound, $"The data set has no photo '{name.Quoted()}'.");
        // By the first bytes, as the photo is read: what a stranger calls .html is not shown as a page.
        string? type = Photo.FormatOf(RawFiles.Head(path)) switch { "JPEG" => "image/jpeg", "PNG" => "image/png", "WebP" => "image/webp", "GIF" => "image/gif", _ => null };
        response.Headers.CacheControl = "private, max-age=86400, immutable";
        return TypedResults.PhysicalFile(path, type ?? "application/octet-stream", lastModified: File.GetLastWriteTimeUtc(path));
    }
}
