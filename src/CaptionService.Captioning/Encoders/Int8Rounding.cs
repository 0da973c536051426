namespace CaptionService.Captioning.Encoders;

/// <summary>
/// Rounds a convolution's weights so that their errors cancel (SQuant, Guo et al. 2022, arXiv:2202.07471): neighbouring pixels
/// and channels are alike, so what counts is less how far each weight is from its byte than how far the sum of a kernel's nine
/// is, and then the sum of an output channel's kernels. Those nearest to a half are rounded the other way until both sums are
/// within a half. Needs no photo, and halves the error of VGG-16's regions.
/// </summary>
internal static class Int8Rounding
{
    private const int Taps = 9;

    /// <summary>Rounds one output channel.</summary>
    /// <param name="weights">(in · 9), in steps; what is rounded replaces it.</param>
    /// <param name="most">Largest whole number there is.</param>
    public static void Round(Span<float> weights, int most)
    {
        int kernels = weights.Length / Taps;
        // How far too high each whole number is, and the sum of each kernel's.
        Span<float> errors = new float[weights.Length], sums = new float[kernels];
        float total = 0;
        for (int kernel = 0; kernel < kernels; kernel++)
        {
            Span<float> whole = weights.Slice(kernel * Taps, Taps), its = errors.Slice(kernel * Taps, Taps);
            for (int i = 0; i < Taps; i++)
            {
                float rounded = MathF.Round(whole[i]);
                (its[i], whole[i]) = (rounded - whole[i], rounded);
                sums[kernel] += its[i];
            }
            for (float over = MathF.Round(sums[kernel]); over != 0; over -= MathF.Sign(over))
                sums[kernel] -= Turn(whole, its, MathF.Sign(over));
            total += sums[kernel];
        }
        for (float over = MathF.Round(total); over != 0; over -= MathF.Sign(over))
        {
            int sign = MathF.Sign(over), kernel = Farthest(sums, sign);
            sums[kernel] -= Turn(weights.Slice(kernel * Taps, Taps), errors.Slice(kernel * Taps, Taps), sign);
        }
        foreach (ref float weight in weights)
            weight = Math.Clamp(weight, -most, most);
    }

    // Rounds the other way what is farthest on the wrong side.
    private static int Turn(Span<float> whole, Span<float> errors, int sign)
    {
        int i = Farthest(errors, sign);
        whole[i] -= sign;
        errors[i] -= sign;
        return sign;
    }

    private static int Farthest(Span<float> errors, int sign)
    {
        int farthest = 0;
        for (int i = 1; i < errors.Length; i++)
        {
            if (errors[i] * sign > errors[farthest] * sign)
                farthest = i;
        }
        return farthest;
    }
}
