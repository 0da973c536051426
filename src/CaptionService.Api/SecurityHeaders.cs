using System.ComponentModel.DataAnnotations;
using System.Net;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Options;
using IPNetwork = System.Net.IPNetwork;

namespace CaptionService.Api;

/// <summary>Who stands in front: section <c>Forwarded</c> of the configuration, or <c>Forwarded__Name</c> in the environment.</summary>
public sealed class ForwardedSettings
{
    /// <summary>Section of the configuration.</summary>
    public const string Section = "Forwarded";

    /// <summary>Addresses or networks of proxies whose <c>X-Forwarded-For</c> and <c>X-Forwarded-Proto</c> are believed. Default: none.</summary>
    [Required]
    public IReadOnlyList<string> Proxies { get; init; } = [];
}

/// <summary>What answers tell browsers, and which proxies are believed about where a request came from.</summary>
public static class SecurityHeaders
{
    // No script or style but the service's own files; photos that were chosen are shown from blob: and data: addresses.
    private const string Pages = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

    // Swagger UI brings styles in its page.
    private const string Swagger = Pages + "; style-src 'self' 'unsafe-inline'";

    /// <summary>Reads which proxies are believed.</summary>
    public static IServiceCollection AddSecurityHeaders(this IServiceCollection services)
    {
        services.AddOptions<ForwardedSettings>().BindConfiguration(ForwardedSettings.Section).ValidateDataAnnotations()
            .Validate(forwarded => forwarded.Proxies.All(proxy => Network(proxy) is not null), "Forwarded:Proxies holds what is neither an address (10.0.0.1) nor a network (10.0.0.0/8).").ValidateOnStart();
        return services;
    }

    /// <summary>Comes first, so that refusals carry the headers too, and all that follows sees the caller's own address.</summary>
    public static void UseSecurityHeaders(this WebApplication app)
    {
        app.Use(static (context, next) =>
        {
            context.Response.OnStarting(static state =>
            {
                var http = (HttpContext)state;
                IHeaderDictionary headers = http.Response.Headers;
                headers.XContentTypeOptions = "nosniff";
                headers.ContentSecurityPolicy = http.Request.Path.StartsWithSegments("/swagger") ? Swagger : Pages;
                headers["Referrer-Policy"] = "no-referrer";
                return Task.CompletedTask;
            }, context);
            return next(context);
        });
        IPNetwork[] proxies = [.. app.Services.GetRequiredService<IOptions<ForwardedSettings>>().Value.Proxies.Select(proxy => Network(proxy)!.Value)];
        if (proxies.Length > 0)
        {
            var forwarded = new ForwardedHeadersOptions { ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto, ForwardLimit = null };
            forwarded.KnownProxies.Clear();
            forwarded.KnownIPNetworks.Clear();
            Array.ForEach(proxies, forwarded.KnownIPNetworks.Add);
            app.UseForwardedHeaders(forwarded);
        }
    }

    private static IPNetwork? Network(string text) =>
        IPAddress.TryParse(text, out IPAddress? address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : IPNetwork.TryParse(text, out IPNetwork network) ? network : null;
}
