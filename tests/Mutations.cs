namespace CaptionService.Tests;

/// <summary>Deterministic damage to a file's bytes.</summary>
internal static class Mutations
{
    /// <summary>One to three edits: a byte set, flipped, removed or inserted, or a piece repeated; half the new bytes come from <paramref name="telling"/>.</summary>
    public static byte[] Of(byte[] original, byte[] telling, Random random)
    {
        var bytes = new List<byte>(original);
        for (int edits = random.Next(1, 4); edits > 0 && bytes.Count > 0; edits--)
        {
            int at = random.Next(bytes.Count);
            byte next = random.Next(2) == 0 ? telling[random.Next(telling.Length)] : (byte)random.Next(256);
            switch (random.Next(5))
            {
                case 0: bytes[at] = next; break;
                case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, next); break;
                default: bytes.InsertRange(at, bytes.GetRange(at, random.Next(1, Math.Min(16, bytes.Count - at) + 1))); break;
            }
        }
        return [.. bytes];
    }
}
