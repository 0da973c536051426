using System.Globalization;
using Serilog;
using Serilog.Events;
using Serilog.Formatting.Compact;

namespace CaptionService.Api;

/// <summary>
/// One line for each request: method, path, status, time, and of captions the photos and where their time went.
/// Never a photo, a caption, a file's name or a query.
/// </summary>
public static class RequestLog
{
    /// <summary>Logs to standard output: JSON lines, or plain text on a terminal.</summary>
    public static void AddRequestLog(this WebApplicationBuilder builder) =>
        builder.Services.AddSerilog((_, log) =>
        {
            log.MinimumLevel.Override("Microsoft.AspNetCore", LogEventLevel.Warning)
                .MinimumLevel.Override("Microsoft.EntityFrameworkCore", LogEventLevel.Fatal)       // failures are told where they are handled
                .MinimumLevel.Override("Microsoft.Extensions.Diagnostics.HealthChecks", LogEventLevel.Fatal)        // who asks is told
                .ReadFrom.Configuration(builder.Configuration)
                .Enrich.FromLogContext();
            if (Console.IsOutputRedirected)
                log.WriteTo.Console(new RenderedCompactJsonFormatter());
            else
                log.WriteTo.Console(formatProvider: CultureInfo.InvariantCulture);
        }, preserveStaticLogger: true);

    /// <summary>Writes the line.</summary>
    public static void UseRequestLog(this WebApplication app) =>
        app.UseSerilogRequestLogging(options =>
        {
            options.Logger = app.Services.GetRequiredService<Serilog.ILogger>();
            options.GetLevel = (http, _, failure) =>
                failure is not null || http.Response.StatusCode == 500 ? LogEventLevel.Error
                : http.Request.Path.StartsWithSegments("/health") ? LogEventLevel.Debug     // probes come every few seconds
                : LogEventLevel.Information;
        });
}
