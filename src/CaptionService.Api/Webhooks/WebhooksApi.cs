using System.Net;
using CaptionService.Api.Trainer;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace CaptionService.Api.Webhooks;

/// <summary>Messages to addresses that the operator names, when a job ends. Off unless there are any.</summary>
public static class WebhooksApi
{
    /// <summary>Registers the settings, what notes the ends of jobs, and what sends.</summary>
    public static IServiceCollection AddWebhooks(this IServiceCollection services)
    {
        services.AddOptions<WebhooksOptions>().BindConfiguration(WebhooksOptions.Section).ValidateDataAnnotations()
            .Validate(hooks => hooks.AllowedNetworks.All(network => IPNetwork.TryParse(network, out _)),
                "Webhooks:AllowedNetworks has networks as CIDR, such as 10.1.2.0/24.")
            .Validate(hooks => hooks.Urls.All(IsAddress), "Webhooks:Urls has http or https addresses without a name or a password.")
            .Validate(hooks => hooks.Urls.Count == 0 || hooks.Key is not null,
                "Webhooks:Secret must be whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32).")
            .ValidateOnStart();
        services.AddSingleton<WebhookSignals>();
        services.AddSingleton<IInterceptor, JobEnds>();
        services.AddSingleton<WebhookSender>();
        return services.AddSingleton<ITrainerWork>(provider => provider.GetRequiredService<WebhookSender>());
    }

    private static bool IsAddress(string url) =>
        Uri.TryCreate(url, UriKind.Absolute, out Uri? address) && address is { Scheme: "http" or "https", UserInfo: "" };
}

/// <summary>Raised when there is something to send.</summary>
public sealed class WebhookSignals : Signal;
