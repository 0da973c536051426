using CaptionService.Captioning.Models;
using CaptionService.Captioning.Search;

namespace CaptionService.Captioning.Jobs;

/// <summary>What the trainer's <c>evaluate</c> verb writes.</summary>
/// <param name="Model">The model, name@version as its bundle has it.</param>
/// <param name="Digest">Its digest.</param>
/// <param name="Split">The split.</param>
/// <param name="Photos">Photos in it.</param>
/// <param name="BeamWidth">Beam of the search.</param>
/// <param name="LengthNormalization">Its length normalisation.</param>
/// <param name="Scores">bleu1 to bleu4, rougeL, distinct and verbatim (captions that stand word for word in the training split) in 0..1,
/// cider in 0..10, length in words, unended as a number.</param>
/// <param name="Worst">The ten photos of lowest CIDEr, the lowest first.</param>
/// <param name="Best">The ten of highest, the highest first.</param>
/// <param name="Items">Every photo, in the split's order, without references.</param>
public sealed record EvaluationResult(string Model, string Digest, string Split, int Photos, int BeamWidth, double LengthNormalization,
    IReadOnlyDictionary<string, double> Scores, IReadOnlyList<EvaluatedPhoto> Worst, IReadOnlyList<EvaluatedPhoto> Best, IReadOnlyList<EvaluatedPhoto> Items)
{
    private const int Extremes = 10;

    /// <summary>Puts a result together.</summary>
    /// <param name="model">The model's card.</param>
    /// <param name="split">The split.</param>
    /// <param name="search">How was searched.</param>
    /// <param name="scores">The figures.</param>
    /// <param name="photos">Every photo with its references.</param>
    public static EvaluationResult Of(ModelCard model, string split, BeamSearchOptions search, IReadOnlyDictionary<string, double> scores, IReadOnlyList<EvaluatedPhoto> photos)
    {
        EvaluatedPhoto[] ranked = [.. photos.OrderBy(photo => photo.Cider)];
        return new EvaluationResult($"{model.Name}@{model.Version}", model.Digest, split, photos.Count, search.Width, search.LengthNormalization, scores,
            [.. ranked.Take(Extremes)], [.. ranked.Reverse().Take(Extremes)], [.. photos.Select(photo => photo with { References = null })]);
    }
}

/// <summary>One photo of an evaluation.</summary>
/// <param name="Photo">Its file name.</param>
/// <param name="Caption">The model's caption.</param>
/// <param name="Cider">The caption's CIDEr, 0..10.</param>
/// <param name="References">What people wrote; only for the ten worst and best.</param>
public sealed record EvaluatedPhoto(string Photo, string Caption, double Cider,
    [property: System.Text.Json.Serialization.JsonIgnore(Condition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? References = null);
