using Microsoft.Extensions.DependencyInjection.Extensions;

namespace CaptionService.Api.Trainer;

/// <summary>Registers what runs the trainer.</summary>
public static class TrainerApi
{
    /// <summary>Adds the runner and its queue, which asks every registered <see cref="ITrainerWork"/>.</summary>
    public static IServiceCollection AddTrainer(this IServiceCollection services)
    {
        services.AddOptions<TrainerOptions>().BindConfiguration(TrainerOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<TrainerRunner>();
        return services.AddHostedService<TrainerQueue>();
    }
}
