using System.Globalization;
using System.Net;
using System.Text;
using CaptionService.Captioning.Confidence;

namespace CaptionService.Trainer.Calibrate;

/// <summary>The reliability diagram of a calibration as an SVG: for each bin how much of it was right against its confidence, and how many captions it has.</summary>
internal static class ReliabilityDiagram
{
    private const double Left = 64, Top = 84, Side = 440, Width = 540, Height = 652;

    /// <summary>Draws it; colours follow the reader's light or dark scheme.</summary>
    /// <param name="model">Whose confidences they are.</param>
    /// <param name="check">The figures.</param>
    public static string Draw(string model, CalibrationCheck check)
    {
        var svg = new StringBuilder();
        Line($$"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{Width}} {{Height}}" font-family="system-ui, sans-serif" font-size="13" role="img">
            <title>Reliability of the confidences of {{WebUtility.HtmlEncode(model)}}</title>
            <style>
            .back { fill: #ffffff; } text { fill: #1f2328; } .soft { fill: #636c76; font-size: 11px; } .grid { stroke: #d8dee4; }
            .ideal { stroke: #636c76; stroke-dasharray: 5 4; } .mark, .bar { fill: #0969da; } .bar { opacity: 0.25; } .error { stroke: #0969da; stroke-width: 1.5; }
            @media (prefers-color-scheme: dark) {
            .back { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #8b949e; } .grid { stroke: #30363d; } .ideal { stroke: #8b949e; } .mark, .bar { fill: #58a6ff; } .error { stroke: #58a6ff; }
            }
            </style>
            <rect class="back" width="100%" height="100%"/>
            <text x="{{Left}}" y="28" font-size="16" font-weight="600">{{WebUtility.HtmlEncode(model)}}: ECE {{Short(check.Ece)}} [{{Short(check.EceLow)}}, {{Short(check.EceHigh)}}]</text>
            <text x="{{Left}}" y="49" class="soft">{{check.Captions}} captions of {{check.Photos}} photos, each judged by a fit to the other half of them</text>
            <text x="{{Left}}" y="65" class="soft">perfectly calibrated confidences would show an ECE of {{Short(check.PerfectEce)}} to {{Short(check.PerfectEceTogether)}}</text>
            """);
        for (int tenth = 0; tenth <= 10; tenth += 2)
        {
            double at = tenth / 10.0;
            Line($"""
                <line class="grid" x1="{X(at)}" y1="{Y(0)}" x2="{X(at)}" y2="{Y(1)}"/><line class="grid" x1="{X(0)}" y1="{Y(at)}" x2="{X(1)}" y2="{Y(at)}"/>
                <text x="{X(at)}" y="{Y(0) + 18}" text-anchor="middle">{at}</text><text x="{X(0) - 8}" y="{Y(at) + 4}" text-anchor="end">{at}</text>
                """);
        }
        Line($"""<line class="ideal" x1="{X(0)}" y1="{Y(0)}" x2="{X(1)}" y2="{Y(1)}"/>""");
        int most = check.Bins.Max(bin => bin.Count);
        for (int i = 0; i < check.Bins.Count; i++)
        {
            var bin = check.Bins[i];
            var (low, high) = Interval(bin.Right, bin.Count);
            // Counts stand in three rows: where confidences crowd, neighbours would overlap.
            Line($"""
                <rect class="bar" x="{X(bin.Confidence) - 3}" y="{Y(0) - 36.0 * bin.Count / most}" width="6" height="{36.0 * bin.Count / most}"/>
                <line class="error" x1="{X(bin.Confidence)}" y1="{Y(low)}" x2="{X(bin.Confidence)}" y2="{Y(high)}"/><circle class="mark" cx="{X(bin.Confidence)}" cy="{Y(bin.Right)}" r="4.5"><title>{bin.Count} captions: confidence {Short(bin.Confidence)}, right {Short(bin.Right)}</title></circle>
                <text class="soft" x="{X(bin.Confidence)}" y="{Y(0) + 62 + i % 3 * 13}" text-anchor="middle">{bin.Count}</text>
                """);
        }
        Line($"""
            <text x="{X(0.5)}" y="{Y(0) + 40}" text-anchor="middle">mean confidence of the bin</text>
            <text transform="translate(20 {Y(0.5)}) rotate(-90)" text-anchor="middle">share that was right</text>
            <text class="soft" x="{Left - 8}" y="{Y(0) + 75}" text-anchor="end">captions</text>
            </svg>
            """);
        return svg.ToString();

        void Line(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    private static double X(double share) => Math.Round(Left + share * Side, 1);

    private static double Y(double share) => Math.Round(Top + (1 - share) * Side, 1);

    private static string Short(double value) => value.ToString("F3", CultureInfo.InvariantCulture);

    /// <summary>Wilson's 95 % interval of a share.</summary>
    private static (double Low, double High) Interval(double share, int count)
    {
        const double z = 1.96;
        double scale = 1 + z * z / count, middle = (share + z * z / (2 * count)) / scale;
        double half = z / scale * Math.Sqrt(share * (1 - share) / count + z * z / (4.0 * count * count));
        return (Math.Max(0, middle - half), Math.Min(1, middle + half));
    }
}
