using System.Numerics;

namespace CaptionService.Trainer.Inspect;

/// <summary>Finds photos that look alike without comparing all with all.</summary>
internal static class NearDuplicates
{
    // Two hashes of 8 bytes that differ in at most 7 bits have a byte in common, so candidates share one.
    private const int MostBits = 7;

    // A byte that many photos share (skies, studio backgrounds) would bring the square of their number.
    private const int MostInBucket = 4096;

    /// <summary>Groups of two and more photos that look alike, as they are or mirrored: each resembles the first of its group.</summary>
    /// <returns>Numbers of the photos, and whether each is the first one's mirror image.</returns>
    public static List<List<(int Photo, bool Mirrored)>> Groups(IReadOnlyList<Fingerprint> photos)
    {
        // Only the first of each group can be found again, so that a thousand copies cost a thousand comparisons.
        var buckets = new Dictionary<int, List<int>>();
        var groups = new Dictionary<int, List<(int, bool)>>();
        for (int i = 0; i < photos.Count; i++)
        {
            if (First(photos, buckets, photos[i]) is { } found)
            {
                groups[found.First].Add((i, found.Mirrored));
                continue;
            }
            groups[i] = [(i, false)];
            for (int band = 0; band < 8; band++)
            {
                int key = Key(photos[i].Hash, band);
                if (!buckets.TryGetValue(key, out var bucket))
                    buckets[key] = bucket = [];
                if (bucket.Count < MostInBucket)
                    bucket.Add(i);
            }
        }
        return [.. groups.Values.Where(g => g.Count > 1)];
    }

    private static (int First, bool Mirrored)? First(IReadOnlyList<Fingerprint> photos, Dictionary<int, List<int>> buckets, Fingerprint photo)
    {
        foreach (bool mirrored in (bool[])[false, true])
        {
            ulong hash = mirrored ? photo.MirroredHash : photo.Hash;
            for (int band = 0; band < 8; band++)
                foreach (int i in buckets.GetValueOrDefault(Key(hash, band)) ?? [])
                    if (BitOperations.PopCount(hash ^ photos[i].Hash) <= MostBits && photos[i].Resembles(photo, mirrored))
                        return (i, mirrored);
        }
        return null;
    }

    private static int Key(ulong hash, int band) => band << 8 | (int)(hash >> (8 * band) & 0xFF);
}
