using CaptionService.Captioning.Torch;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>
/// Weights between those a run began with and those it has learnt (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903): most of what is gained on
/// new photos is there early on the way, most of what is lost of the old only at its end.
/// </summary>
internal sealed class WeightInterpolation : IDisposable
{
    private static readonly double[] s_shares = [0.25, 0.375, 0.5, 0.625, 0.75, 0.875];

    private readonly (Parameter Weight, Tensor Start, long Rows)[] _weights;

    /// <summary>Keeps the weights as they are now.</summary>
    /// <param name="weights">What will be learnt, and how many rows of each go back; later rows, those of new words, stay as learnt.</param>
    public WeightInterpolation(IEnumerable<(Parameter Weight, long Rows)> weights)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        _weights = [.. weights.Select(w => (w.Weight, w.Weight.detach().clone().DetachFromDisposeScope(), w.Rows))];
    }

    /// <summary>Moves the weights, which are the learnt ones, back as far as a share of the gain allows.</summary>
    /// <param name="giveUp">Share of the gain that may be lost, 0..1.</param>
    /// <param name="judge">CIDEr of the weights as they are.</param>
    /// <returns>How far from the start the weights are now, 1 = as learnt; and the CIDEr at the start, as learnt, and now.</returns>
    public (double Share, double Start, double Learnt, double Kept) MoveBack(double giveUp, Func<double> judge)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Tensor[] learnt = [.. _weights.Select(w => w.Weight.detach().clone())];
        double best = judge();
        Move(0);
        double start = judge();
        foreach (double share in best > start ? s_shares : [])
        {
            Move(share);
            double cider = judge();
            if (cider >= best - giveUp * (best - start))
                return (share, start, best, cider);
        }
        Move(1);
        return (1, start, best, best);

        void Move(double share)
        {
            using var inner = NewDisposeScope();
            foreach (var ((weight, begun, rows), end) in _weights.Zip(learnt))
            {
                weight.copy_(end);
                if (share == 1)
                    continue;           // to the last bit as learnt
                var (from, to) = (begun.narrow(0, 0, rows), end.narrow(0, 0, rows));
                weight.narrow(0, 0, rows).copy_(from.plus(to.sub(from).times(share)));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, start, _) in _weights)
            start.Dispose();
    }
}
