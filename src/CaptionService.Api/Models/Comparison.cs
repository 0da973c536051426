using System.Globalization;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Metrics;

namespace CaptionService.Api.Models;

/// <summary>Two models on the same photos. CIDEr here is times 100, as papers print it.</summary>
/// <param name="First">The one that is judged, name@version.</param>
/// <param name="Second">The one that it is compared with.</param>
/// <param name="Photos">Photos both captioned.</param>
/// <param name="Difference">The first's mean CIDEr minus the second's.</param>
/// <param name="Low">Lower end of the difference's 95 % interval (paired bootstrap, 10,000 resamples of the photos).</param>
/// <param name="High">Upper end.</param>
/// <param name="Verdict"><c>better</c>, <c>worse</c> or <c>unclear</c>: whether the interval leaves out 0, and on which side.</param>
/// <param name="Sentence">The verdict as a sentence.</param>
/// <param name="FirstScores">The first's scores.</param>
/// <param name="SecondScores">The second's scores.</param>
/// <param name="Apart">The twenty photos whose captions are farthest apart by their own CIDEr, the farthest first; null in comparisons
/// that were made before there were any.</param>
public sealed record Comparison(string First, string Second, int Photos, double Difference, double Low, double High, string Verdict, string Sentence,
    IReadOnlyDictionary<string, double> FirstScores, IReadOnlyDictionary<string, double> SecondScores,
    IReadOnlyList<ComparedPhoto>? Apart = null)
{
    private const int MostApart = 20;

    internal static Comparison Of(string first, EvaluationResult one, string second, EvaluationResult other)
    {
        PairedDifference found = PairedBootstrap.Compare([.. one.Items.Select(item => 100 * item.Cider)], [.. other.Items.Select(item => 100 * item.Cider)]);
        string verdict = found.Better ? "better" : found.Worse ? "worse" : "unclear";
        string says = string.Create(CultureInfo.InvariantCulture, $"CIDEr {found.Difference:+0.0;-0.0;+0.0}, 95 % between {found.Low:+0.0;-0.0;+0.0} and {found.High:+0.0;-0.0;+0.0}");
        string between = $"({first} against {second}, {ShortText.Count(one.Items.Count, "photo")})";
        string sentence = verdict == "unclear"
            ? $"no clear difference: {says} {between}; more photos would narrow it"
            : $"{verdict}: {says} {between}";
        ComparedPhoto[] apart = [.. one.Items.Zip(other.Items, ComparedPhoto.Of).Where(photo => photo.First != photo.Second)
            .OrderByDescending(photo => Math.Abs(photo.FirstCider - photo.SecondCider)).Take(MostApart)];
        return new Comparison(first, second, one.Items.Count, found.Difference, found.Low, found.High, verdict, sentence,
            one.Scores, other.Scores, apart);
    }
}

/// <summary>One photo as two models caption it.</summary>
/// <param name="Photo">Its file name.</param>
/// <param name="First">The first model's caption.</param>
/// <param name="Second">The second's.</param>
/// <param name="FirstCider">CIDEr of the first's, 0..10.</param>
/// <param name="SecondCider">CIDEr of the second's, 0..10.</param>
public sealed record ComparedPhoto(string Photo, string First, string Second, double FirstCider, double SecondCider)
{
    // Both evaluations are of the same split of a data set that never changes, in its order.
    internal static ComparedPhoto Of(EvaluatedPhoto one, EvaluatedPhoto other) =>
        new(one.Photo, one.Caption, other.Caption, one.Cider, other.Cider);
}
