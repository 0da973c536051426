using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Ranking;

namespace CaptionService.Captioning.Confidence;

/// <summary>
/// How a model's captions get their confidence: <c>calibration.json</c> of its bundle. A logistic regression on a few things
/// known when a caption is written (<see cref="ConfidenceFeature"/>), times a factor that falls for photos unlike those the
/// model was trained on (<see cref="Confidence.Familiarity"/>).
/// </summary>
/// <param name="Definition">What the confidence is the probability of.</param>
/// <param name="Search">The search it was fitted at; another shifts it.</param>
/// <param name="Intercept">The regression's value for a caption that is average in everything.</param>
/// <param name="Features">What it weighs.</param>
/// <param name="Fitted">The captions it was fitted to: those of the whole development split.</param>
/// <param name="Check">How a regression fitted to one half of the split, by a digest of the photos' names, does on the other.</param>
/// <param name="CrossCheck">The check over both halves, each judged by a regression fitted to the other: twice the photos, half the
/// noise.</param>
/// <param name="Familiarity">What the training photos look like.</param>
public sealed partial record Calibration(string Definition, CalibratedSearch Search, double Intercept, IReadOnlyList<CalibratedFeature> Features,
    FittedTo Fitted, CalibrationCheck Check, CalibrationCheck CrossCheck, Familiarity Familiarity)
{
    /// <summary><see cref="CrossCheck"/> for the photos of each source by itself; null where all are of one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, CalibrationCheck>? Sources { get; init; }

    /// <summary>Its file in a bundle.</summary>
    public const string FileName = "calibration.json";

    /// <summary>What <see cref="Definition"/> says.</summary>
    public const string Meaning = "The probability that this caption is at least as close to the human captions of its photo, by CIDEr-D, as the median human caption is to the others (leave one out).";

    private const int MaxListed = 128;                  // features, bins, thresholds
    private const double MaxNumber = 1e6;               // keeps sums finite, whatever a file says

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    private readonly ConfidenceFeature[] _known = [.. Features.Select(feature => ConfidenceFeature.Find(feature?.Name ?? ""))];

    /// <summary>Confidence of each hypothesis of a photo, 0..1 to four decimals.</summary>
    /// <param name="found">All hypotheses of its search, best first.</param>
    /// <param name="familiarity">The photo's <see cref="Familiarity.Factor"/>.</param>
    public double[] Confidences(IReadOnlyList<RankedHypothesis> found, double familiarity)
    {
        var result = new double[found.Count];
        for (int rank = 0; rank < result.Length; rank++)
        {
            double sum = Intercept;
            for (int i = 0; i < _known.Length; i++)
                sum += Features[i].Weight * (_known[i].Of(found, rank) - Features[i].Mean) / Features[i].Deviation;
            result[rank] = Math.Round(familiarity / (1 + Math.Exp(-sum)), 4);
        }
        return result;
    }

    /// <summary>As written to the file: indented, a list of numbers on one line.</summary>
    public byte[] ToJson() => System.Text.Encoding.UTF8.GetBytes(NumberList().Replace(JsonSerializer.Serialize(this, s_json), list => Space().Replace(list.Value, " ")));

    /// <summary>Reads the file, taken as hostile.</summary>
    /// <param name="json">Its bytes.</param>
    /// <param name="decoder">The model's, whose features the photos are compared by.</param>
    /// <exception cref="ModelBundleException">It is no calibration, or a number is out of range.</exception>
    internal static Calibration Parse(byte[] json, Decoders.DecoderOptions decoder)
    {
        Calibration calibration;
        try
        {
            calibration = JsonSerializer.Deserialize<Calibration>(json, s_json) ?? throw Refused("is null");
        }
        catch (JsonException e)
        {
            throw Refused($"is not a calibration: {e.Message}", e);
        }
        var (features, familiarity) = (calibration.Features, calibration.Familiarity);
        if (calibration.Definition.Length > 2000)
            throw Refused("has a definition of more than 2,000 characters");
        if (features.Count is 0 or > MaxListed || features.Select(f => f.Name).Distinct().Count() != features.Count)
            throw Refused($"must have 1 to {MaxListed} features, each once");
        if (familiarity.Means.Count != decoder.FeatureSize || familiarity.Deviations.Count != decoder.FeatureSize || familiarity.Tail.Count is 0 or > 100_000)
            throw Refused($"must describe the {decoder.FeatureSize} values of a photo, and at least one unfamiliar photo");
        CheckNumbers("intercept and features", -MaxNumber, [calibration.Intercept, .. features.SelectMany(f => new[] { f.Mean, f.Weight })]);
        CheckNumbers("deviations", 1e-6, [.. features.Select(f => f.Deviation), .. familiarity.Deviations]);
        CheckNumbers("familiarity", -MaxNumber, [.. familiarity.Means, .. familiarity.Tail]);
        CheckNumbers("numbers of photos", 0, [calibration.Fitted.Photos, calibration.Fitted.Captions, familiarity.Photos, calibration.Search.BeamWidth, calibration.Search.MaxLength, calibration.Search.LengthNormalization]);
        CheckNumbers("fitted.right", 0, [calibration.Fitted.Right], 1);
        foreach (var check in (CalibrationCheck[])[calibration.Check, calibration.CrossCheck, .. calibration.Sources?.Values ?? []])
        {
            if (check.Bins.Count > MaxListed || check.Coverage.Count > MaxListed || check.Bins.Contains(null!) || check.Coverage.Contains(null!))
                throw Refused($"has more than {MaxListed} bins or thresholds, or empty ones");
            CheckNumbers("counts", 0, [check.Photos, check.Captions, .. check.Bins.Select(b => b.Count)]);
            CheckNumbers("check", 0,
            [
                check.Right, check.Ece, check.EceLow, check.EceHigh, check.PerfectEce, check.PerfectEceTogether, check.Brier, check.Auroc,
                .. check.Bins.SelectMany(b => new[] { b.Confidence, b.Right }), .. check.Coverage.SelectMany(r => new[] { r.From, r.Coverage, r.Right ?? 0 }),
            ], 1);
        }
        return calibration with { Familiarity = familiarity with { Tail = [.. familiarity.Tail.Order()] } };
    }

    private static void CheckNumbers(string what, double least, IEnumerable<double> numbers, double most = MaxNumber)
    {
        if (numbers.Any(n => !(n >= least && n <= most)))
            throw Refused($"has {what} outside of {least} to {most}");
    }

    private static ModelBundleException Refused(string why, Exception? inner = null) => new($"{FileName} {why}.", inner);

    [GeneratedRegex(@"\[[\s\d.,eE+-]+\]")]
    private static partial Regex NumberList();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}

/// <summary>The search that confidences were fitted at.</summary>
/// <param name="BeamWidth">Hypotheses kept, all of which were used.</param>
/// <param name="MaxLength">Longest caption in words.</param>
/// <param name="LengthNormalization">Exponent of the ranking.</param>
public sealed record CalibratedSearch(int BeamWidth, int MaxLength, double LengthNormalization);

/// <summary>One thing the regression weighs.</summary>
/// <param name="Name">Name of a <see cref="ConfidenceFeature"/>.</param>
/// <param name="Mean">Its mean over the captions fitted to.</param>
/// <param name="Deviation">Its standard deviation there.</param>
/// <param name="Weight">What one deviation more adds to the log-odds.</param>
public sealed record CalibratedFeature(string Name, double Mean, double Deviation, double Weight);

/// <summary>What a calibration was fitted to.</summary>
/// <param name="Photos">Photos with two or more human captions.</param>
/// <param name="Captions">The model's captions of them.</param>
/// <param name="Right">Share of those that is as close as the median human caption.</param>
public sealed record FittedTo(int Photos, int Captions, double Right);

/// <summary>Confidences against what was so, on photos they were not fitted to.</summary>
/// <param name="Photos">Photos.</param>
/// <param name="Captions">The model's captions of them, of all ranks.</param>
/// <param name="Right">Share of those that is as close as the median human caption.</param>
/// <param name="Ece">Expected calibration error over 15 bins of equal size.</param>
/// <param name="EceLow">Lower end of its 95 % interval (bootstrap by photo).</param>
/// <param name="EceHigh">Upper end.</param>
/// <param name="PerfectEce">The error that perfectly calibrated confidences would show on as many captions, were they right independently
/// of each other.</param>
/// <param name="PerfectEceTogether">The error that they would show, were the captions of a photo right or wrong together; the truth lies
/// between the two.</param>
/// <param name="Brier">Mean squared error of the confidences.</param>
/// <param name="Auroc">Probability that a right caption has a higher confidence than a wrong one; 0.5 is chance.</param>
/// <param name="Bins">The bins of the error.</param>
/// <param name="Coverage">For each threshold: the share of captions with that confidence or more, and how many of those are right.</param>
public sealed record CalibrationCheck(int Photos, int Captions, double Right, double Ece, double EceLow, double EceHigh, double PerfectEce, double PerfectEceTogether,
    double Brier, double Auroc, IReadOnlyList<ReliabilityBin> Bins, IReadOnlyList<CoverageRow> Coverage);
