using System.Numerics;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Search;

/// <summary>The best continuations of beams, found where the scores lie.</summary>
internal static unsafe class BestWords
{
    /// <summary>Adds up what each continuation is compared by, and takes the best of each group.</summary>
    /// <param name="logProbabilities">(n, b, V) float32 on the CPU, contiguous; changed.</param>
    /// <param name="totals">(n · b): log p of the beams so far.</param>
    /// <param name="never">Ids that no beam may take.</param>
    /// <param name="blocked">(Beam, word) as beam · V + word that may not follow.</param>
    /// <param name="bonuses">What such a pair earns.</param>
    /// <param name="groups">Groups of each photo.</param>
    /// <param name="scores">(n, groups, count): takes the best sums, best first, -∞ where there are no more. Of equal ones the one of
    /// the earlier beam comes first, then of the smaller word.</param>
    /// <param name="indexes">Likewise: beam in the group · V + word.</param>
    public static void Find(Tensor logProbabilities, float[] totals, long[] never, List<long> blocked,
        List<(long Column, float Value)> bonuses, int groups, float[] scores, int[] indexes)
    {
        int n = (int)logProbabilities.shape[0], beams = (int)logProbabilities.shape[1], vocabulary = (int)logProbabilities.shape[2];
        int size = beams / groups, count = scores.Length / (n * groups);
        float* all = logProbabilities.Pointer<float>();
        foreach (var (column, value) in bonuses)
            all[column] += value;
        foreach (long column in blocked)
            all[column] = float.NegativeInfinity;
        Array.Fill(scores, float.NegativeInfinity);
        for (int group = 0; group < n * groups; group++)
        {
            Span<float> best = scores.AsSpan(group * count, count);
            Span<int> where = indexes.AsSpan(group * count, count);
            for (int beam = 0; beam < size; beam++)
            {
                int row = group * size + beam;
                float* x = all + (long)row * vocabulary;
                foreach (long word in never)
                    x[word] = float.NegativeInfinity;
                if (totals[row] > float.NegativeInfinity)
                    Scan(x, vocabulary, totals[row], beam * vocabulary, best, where);
            }
        }
    }

    private static void Scan(float* x, int vocabulary, float total, int first, Span<float> best, Span<int> where)
    {
        int word = 0;
        for (; word <= vocabulary - Vector<float>.Count; word += Vector<float>.Count)
        {
            if (Vector.GreaterThanAny(Vector.Load(x + word) + new Vector<float>(total), new Vector<float>(best[^1])))
                Take(word, Vector<float>.Count, best, where);
        }
        Take(word, vocabulary - word, best, where);

        void Take(int from, int count, Span<float> best, Span<int> where)
        {
            for (int at = from; at < from + count; at++)
            {
                float sum = x[at] + total;
                if (!(sum > best[^1]))
                    continue;
                int place = best.Length - 1;
                for (; place > 0 && best[place - 1] < sum; place--)
                    (best[place], where[place]) = (best[place - 1], where[place - 1]);
                (best[place], where[place]) = (sum, first + at);
            }
        }
    }
}
