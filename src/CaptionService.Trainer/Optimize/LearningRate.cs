using CaptionService.Captioning.Jobs;

namespace CaptionService.Trainer.Optimize;

/// <summary>The learning rate of a step: a function of the step alone, so that a resumed run needs no state of it.</summary>
internal static class LearningRate
{
    /// <param name="step">0, 1, 2, …</param>
    /// <param name="stepsPerEpoch">Steps of an epoch, on average.</param>
    /// <param name="options">Warm-up, then cosine (Loshchilov and Hutter 2017) or the tutorial's exponential decay.</param>
    public static double At(long step, double stepsPerEpoch, TrainingOptions options)
    {
        if (step < options.WarmupSteps)
            return options.LearningRate * (step + 1) / options.WarmupSteps;
        double epochs = (double)(step - options.WarmupSteps) / stepsPerEpoch;
        if (options.Schedule == "exponential")
            return options.LearningRate * Math.Pow(options.DecayRate, epochs / options.DecayEpochs);
        double share = Math.Min(1, epochs / Math.Max(options.Epochs - options.WarmupSteps / stepsPerEpoch, 1e-9));
        return options.LearningRate * (options.FinalLearningRate + (1 - options.FinalLearningRate) * 0.5 * (1 + Math.Cos(Math.PI * share)));
    }
}
