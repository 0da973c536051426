using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Quantize;

/// <summary>How often a layer's activations, after their ReLU, have which value; and what a byte should stand for.</summary>
internal sealed class ActivationHistogram
{
    private const int Bins = 4096, MaxByte = 255;

    private readonly double[] _counts = new double[Bins];
    private double _width;              // of a bin; 0: nothing seen yet

    /// <summary>Counts the values. The first ones decide the range: twice their largest; what is above counts as that.</summary>
    public void Add(Tensor activations)
    {
        using var scope = NewDisposeScope();
        var x = activations.to(ScalarType.Float32);
        if (_width == 0)
            _width = Math.Max(2 * x.max().value(), 1e-6) / Bins;
        using Scalar most = Bins - 0.5;
        double[] counts = [.. x.times(1 / _width).clamp_max_(most).histc(Bins, 0, Bins).data<float>()];
        for (int bin = 0; bin < Bins; bin++)
            _counts[bin] += counts[bin];
    }

    /// <summary>The scale at which rounding and cutting off cost the least squared error.</summary>
    public double LeastSquares()
    {
        double best = double.MaxValue, scale = 0;
        for (int clip = Bins / 128; clip <= Bins; clip++)
        {
            double step = clip * _width / MaxByte, rounding = step * step / 12, error = 0;
            for (int bin = 1; bin < Bins; bin++)            // the first bin is as good as 0, which is exact
            {
                double value = (bin + 0.5) * _width;
                error += _counts[bin] * (bin < clip ? Math.Min(rounding, value * value) : Math.Pow(value - clip * _width, 2) + rounding);
            }
            if (error < best)
                (best, scale) = (error, step);
        }
        return scale;
    }

    /// <summary>The scale at which a share of the values that are not 0 is not cut off.</summary>
    public double Percentile(double share)
    {
        double left = (1 - share) * _counts.Skip(1).Sum();
        int clip = Bins;
        while (clip > 1 && left >= 0)
            left -= _counts[--clip];
        return (clip + 1) * _width / MaxByte;
    }
}
