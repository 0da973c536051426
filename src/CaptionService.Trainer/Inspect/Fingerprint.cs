using CaptionService.Captioning.Encoders;

namespace CaptionService.Trainer.Inspect;

/// <summary>
/// What stays of a photo when it is scaled, saved again or changed a little: a difference hash (8 × 8 signs of neighbouring
/// brightness) to find candidates, and 16 × 16 brightnesses to judge them.
/// </summary>
internal sealed class Fingerprint
{
    private const int Grid = 16;

    // Re-encoded, rescaled, brightened or watermarked photos lie above; other photos of the same event well below.
    private const double LeastCorrelation = 0.98;

    // A photo without contrast (a clear sky) correlates with anything: only an equal one is the same.
    private const double FlatDeviation = 4, FlatDifference = 2, MostDifference = 24;

    private readonly byte[] _brightness;       // rows of the grid
    private readonly double _mean, _deviation;

    /// <summary>The difference hash of the photo as it is.</summary>
    public ulong Hash { get; }

    /// <summary>The difference hash of the photo seen in a mirror.</summary>
    public ulong MirroredHash { get; }

    public Fingerprint(Photo photo)
    {
        _brightness = Shrunk(photo.Pixels.Span, Grid, Grid);
        byte[] small = Shrunk(photo.Pixels.Span, 9, 8);
        Hash = Differences(small, mirrored: false);
        MirroredHash = Differences(small, mirrored: true);
        _mean = _brightness.Average(b => (double)b);
        _deviation = Math.Sqrt(_brightness.Average(b => (b - _mean) * (b - _mean)));
    }

    /// <summary>Whether two photos show the same picture.</summary>
    /// <param name="other">The other photo.</param>
    /// <param name="mirrored">Whether the other is seen in a mirror.</param>
    public bool Resembles(Fingerprint other, bool mirrored)
    {
        double difference = 0, covariance = 0;
        for (int y = 0; y < Grid; y++)
        {
            for (int x = 0; x < Grid; x++)
            {
                int a = _brightness[y * Grid + x], b = other._brightness[y * Grid + (mirrored ? Grid - 1 - x : x)];
                difference += Math.Abs(a - b);
                covariance += (a - _mean) * (b - other._mean);
            }
        }
        difference /= Grid * Grid;
        covariance /= Grid * Grid;
        return Math.Min(_deviation, other._deviation) < FlatDeviation
            ? difference < FlatDifference
            : difference < MostDifference && covariance > LeastCorrelation * _deviation * other._deviation;
    }

    private static ulong Differences(byte[] small, bool mirrored)
    {
        ulong hash = 0;
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++)
            {
                int left = small[y * 9 + (mirrored ? 8 - x : x)], right = small[y * 9 + (mirrored ? 7 - x : x + 1)];
                hash = hash << 1 | (right > left ? 1UL : 0);
            }
        return hash;
    }

    // Mean brightness of each box. The boxes lie symmetric, so that a mirrored photo gives mirrored boxes.
    private static byte[] Shrunk(ReadOnlySpan<byte> pixels, int columns, int rows)
    {
        var result = new byte[columns * rows];
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++)
            {
                int left = Edge(c, columns), right = Edge(c + 1, columns);
                int top = Edge(r, rows), bottom = Edge(r + 1, rows);
                int sum = 0;
                for (int y = top; y < bottom; y++)
                    for (int i = (y * Photo.Side + left) * 3; i < (y * Photo.Side + right) * 3; i += 3)
                        sum += 77 * pixels[i] + 150 * pixels[i + 1] + 29 * pixels[i + 2];
                result[r * columns + c] = (byte)(sum / ((right - left) * (bottom - top)) >> 8);
            }
        }
        return result;
    }

    private static int Edge(int i, int of) => 2 * i <= of ? Photo.Side * i / of : Photo.Side - Photo.Side * (of - i) / of;
}
