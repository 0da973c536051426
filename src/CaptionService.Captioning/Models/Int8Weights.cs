using CaptionService.Captioning.Files;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Models;

/// <summary>
/// Matrices stored as int8 with a scale for each row, <c>NAME</c> (I8) and <c>NAME_scale</c> (F32), as compressed-tensors names them: half
/// the size
/// of fp16, for a rounding of each weight by at most 1/254 of its row's largest. They are widened when they are loaded; products are not
/// made in int8.
/// </summary>
internal static class Int8Weights
{
    private const string Scale = "_scale";
    private const int LeastColumns = 64;            // smaller ones are no size

    /// <summary>Weights as they are stored: matrices in int8, the others in fp16.</summary>
    /// <param name="weights">By name.</param>
    /// <returns>In the caller's scope.</returns>
    public static Dictionary<string, Tensor> Narrow(IReadOnlyDictionary<string, Tensor> weights)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using Scalar least = 1e-12, lowest = -127, highest = 127;
        var stored = new Dictionary<string, Tensor>();
        foreach (var (name, weight) in weights)
        {
            if (weight.dim() != 2 || weight.shape[1] < LeastColumns)
            {
                stored[name] = weight.to(ScalarType.Float16).MoveToOuterDisposeScope();
                continue;
            }
            var wide = weight.to(ScalarType.Float32);
            var scale = wide.abs().amax([1L]).clamp_min(least).times(1 / 127.0);                            // (rows)
            stored[name] = wide.div(scale.unsqueeze(1)).round().clamp(lowest, highest).to(ScalarType.Int8).MoveToOuterDisposeScope();
            stored[name + Scale] = scale.MoveToOuterDisposeScope();
        }
        return stored;
    }

    /// <summary>Weights as they were before <see cref="Narrow"/>, but for its rounding; others stay as they are.</summary>
    /// <returns>In the caller's scope.</returns>
    /// <exception cref="ModelBundleException">A matrix has no scale, or one that does not fit it.</exception>
    public static IReadOnlyDictionary<string, Tensor> Widen(IReadOnlyDictionary<string, Tensor> stored)
    {
        using var noGrad = no_grad();
        string[] narrow = [.. stored.Where(weight => weight.Value.dtype == ScalarType.Int8).Select(weight => weight.Key)];
        if (narrow.Length == 0)
            return stored;
        var weights = stored.Where(weight => !narrow.Any(name => weight.Key == name + Scale)).ToDictionary(weight => weight.Key, weight => weight.Value);
        foreach (string name in narrow)
        {
            var matrix = stored[name];
            if (!stored.TryGetValue(name + Scale, out var scale) || matrix.dim() != 2 || !scale.shape.AsSpan().SequenceEqual([matrix.shape[0]]))
                throw new ModelBundleException($"'{name}' is stored as int8 and needs '{name}{Scale}', one value for each of its rows.");
            weights[name] = matrix.to(ScalarType.Float32).mul(scale.to(ScalarType.Float32).unsqueeze(1));
        }
        return weights;
    }
}
