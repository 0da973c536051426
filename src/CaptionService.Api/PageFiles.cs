using Microsoft.Extensions.FileProviders;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api;

/// <summary>The page at <c>/</c>: the files of <c>wwwroot</c> beside the program, whatever the working directory is.</summary>
public static class PageFiles
{
    /// <summary>
    /// Serves them where no route does. Their names stay from version to version, so browsers keep them but ask each time
    /// whether they are still the same (ETag): a new version of the service is seen at once, and an old file never beside a new one.
    /// </summary>
    public static void UsePageFiles(this WebApplication app)
    {
        var files = new PhysicalFileProvider(Path.Combine(AppContext.BaseDirectory, "wwwroot"));
        app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files });
        app.UseStaticFiles(new StaticFileOptions
        {
            FileProvider = files,
            OnPrepareResponse = static file => file.Context.Response.Headers[HeaderNames.CacheControl] = "no-cache",
        });
    }
}
