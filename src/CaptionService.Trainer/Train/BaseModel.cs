using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>What a run takes over from the model it starts from.</summary>
internal static class BaseModel
{
    /// <summary>Loads the job's base model; null where it has none.</summary>
    /// <exception cref="DatasetException">It writes another language, or was trained on other encoder weights.</exception>
    /// <exception cref="ModelBundleException">It cannot be loaded.</exception>
    public static ModelBundle? Load(string folder, JobFile job)
    {
        if (job.BaseModel is null)
            return null;
        var bundle = ModelBundle.Load(Path.Combine(folder, job.BaseModel));
        try
        {
            var card = bundle.Card;
            if (!Tokenizer.SameLanguage(card.Language, job.Language))
                throw new DatasetException($"The base model '{card.Name}' writes '{card.Language}', the captions are '{job.Language}': both must be of one language.");
            if (card.EncoderSha256 is { } expected && !string.Equals(expected, Sha256.OfFile(PhotoEncoding.Of(bundle).EncoderPath), StringComparison.OrdinalIgnoreCase))
                throw new DatasetException($"The base model '{card.Name}' was trained on other encoder weights than those that are here.");
            return bundle;
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    /// <summary>name@version, for events and model cards.</summary>
    public static string? Reference(ModelBundle? model) => model is null ? null : $"{model.Card.Name}@{model.Card.Version}";

    /// <summary>
    /// Copies the weights. Words that are new to the model come after its own: they keep their random weights, and begin as improbable
    /// as the rarest words that it knows.
    /// </summary>
    public static void CopyWeights(CaptionDecoder from, CaptionDecoder to)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var weights = from.state_dict();
        foreach (var (name, parameter) in to.state_dict())
        {
            var known = weights[name];
            long words = known.shape[0], added = parameter.shape[0] - words;
            parameter.narrow(0, 0, words).copy_(known);
            if (added > 0 && known.dim() == 1)
                parameter.narrow(0, words, added).copy_(known.narrow(0, words - words / 10, words / 10).mean());
        }
    }

    /// <summary>Each weight with the number of its rows that the base model has: of the weights of words only those of its own words.</summary>
    public static (Parameter, long)[] WithRowsOf(CaptionDecoder start, IEnumerable<(string Name, Parameter Weight)> weights)
    {
        using var scope = NewDisposeScope();
        var known = start.state_dict();
        return [.. weights.Select(w => (w.Weight, known.TryGetValue(w.Name, out var its) ? its.shape[0] : w.Weight.shape[0]))];
    }
}
