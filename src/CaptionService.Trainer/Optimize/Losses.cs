using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Optimize;

/// <summary>Losses with their gradients written out: one softmax serves both, and nothing is kept for autograd.</summary>
internal static class Losses
{
    /// <summary>
    /// Cross-entropy with label smoothing (Szegedy et al. 2016), the mean over positions: the target distribution is
    /// 1 - ε at the true word plus ε/V everywhere. With teachers (Hinton et al. 2015), a share of it is what they expect.
    /// </summary>
    /// <param name="logits">(M, V), any float type.</param>
    /// <param name="targets">(M) int64.</param>
    /// <param name="smoothing">ε.</param>
    /// <param name="teachers">(M, V) float32 probabilities, or null.</param>
    /// <param name="share">The teachers' share of the target, 0..1.</param>
    /// <returns>The loss and the mean negative log-likelihood, as 0-d tensors, and the gradient of the loss, (M, V) in the logits' type.</returns>
    public static (Tensor Loss, Tensor NegativeLogLikelihood, Tensor Gradient) CrossEntropy(Tensor logits, Tensor targets, double smoothing, Tensor? teachers = null, double share = 0)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        long m = logits.shape[0], v = logits.shape[1];
        // Implicit conversions to Scalar would leave native objects to the finalizer.
        double own = teachers is null ? 1 : 1 - share;
        using Scalar floor = own * smoothing / v, spread = own * smoothing, truth = own * (1 - smoothing), minus = -own * (1 - smoothing), mean = 1.0 / m, taught = share;
        var logP = logits.detach().to(ScalarType.Float32).log_softmax(-1);                  // (M, V)
        var index = targets.unsqueeze(1);
        var nll = logP.gather(1, index).mean().neg();
        var loss = nll.mul(truth).sub(logP.mean().mul(spread));
        if (teachers is not null)
            loss = loss.sub(teachers.mul(logP).sum().mul(mean).mul(taught));
        var gradient = logP.exp_().sub_(floor);                                            // softmax - target, over M
        if (teachers is not null)
            gradient.sub_(teachers.mul(taught));
        gradient.scatter_add_(1, index, full(m, 1, minus, ScalarType.Float32, logits.device));
        gradient = gradient.mul_(mean).to(logits.dtype);
        return scope.MoveToOuter(loss, nll, gradient);
    }

    /// <summary>Negative log-likelihood with a weight for each position (policy gradient): Σ w · -log p.</summary>
    /// <param name="logits">(M, V), any float type.</param>
    /// <param name="targets">(M) int64.</param>
    /// <param name="weights">M weights, of either sign.</param>
    /// <param name="told">M weights of the likelihood that is returned.</param>
    /// <returns>Σ told · -log p as a 0-d tensor, and the gradient of the loss, (M, V) in the logits' type.</returns>
    public static (Tensor NegativeLogLikelihood, Tensor Gradient) Weighted(Tensor logits, Tensor targets, float[] weights, float[] told)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var w = tensor(weights, [weights.Length, 1], device: logits.device);
        var logP = logits.detach().to(ScalarType.Float32).log_softmax(-1);                  // (M, V)
        var index = targets.unsqueeze(1);
        var nll = logP.gather(1, index).mul(tensor(told, [told.Length, 1], device: logits.device)).sum().neg();
        var gradient = logP.exp_().mul_(w);                                                 // w · (softmax - one-hot)
        gradient.scatter_add_(1, index, w.neg());
        return scope.MoveToOuter(nll, gradient.to(logits.dtype));
    }
}
