using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>One 3×3 convolution with its ReLU, its weights laid out for the number format and the machine.</summary>
internal sealed class Convolution : IConvolution
{
    /// <summary>
    /// Numbers of photos that packed weights are laid out for. oneDNN chooses the layout by the number; weights in another one
    /// it brings into its own on every call, which for one photo takes longer than the convolution.
    /// </summary>
    private const int Few = 1, Many = 4;

    private readonly FusedConvolution? _fused;
    private readonly Tensor _weight, _bias;
    private readonly Tensor? _weightForFew;     // null: laid out as for many

    /// <param name="weight">(out, in, 3, 3), of any float type; stays the caller's.</param>
    /// <param name="bias">(out).</param>
    /// <param name="side">Height and width of the maps it is meant for.</param>
    /// <param name="fused">null: libtorch's general convolution.</param>
    /// <param name="precision">Number format and layout.</param>
    /// <param name="device">Where it runs.</param>
    public Convolution(Tensor weight, Tensor bias, int side, FusedConvolution? fused, EncoderPrecision precision, Device device)
    {
        _fused = fused;
        var laid = precision.Lay(weight.to(device));
        // Both are the caller's scope's until Own: a refused file leaves none behind.
        _weight = fused?.Pack(laid, Many, side) ?? laid;
        if (fused?.Pack(laid, Few, side) is { } few)
        {
            if (fused.Layout(few).SequenceEqual(fused.Layout(_weight)))
                few.Dispose();
            else
                _weightForFew = few;
        }
        _bias = bias.to(device).to(precision.Type);
    }

    /// <summary>Takes its tensors out of the scope they were made in.</summary>
    public void Own()
    {
        _weight.DetachFromDisposeScope();
        _weightForFew?.DetachFromDisposeScope();
        _bias.DetachFromDisposeScope();
    }

    /// <summary>(N, in, side, side) → (N, out, side, side).</summary>
    public Tensor Apply(Tensor x) =>
        _fused?.Apply(x, _weightForFew is { } few && x.shape[0] - Few < Many - x.shape[0] ? few : _weight, _bias) ?? nn.functional.conv2d(x, _weight, _bias, padding: [1L, 1L]).relu_();

    public void Dispose()
    {
        _weight.Dispose();
        _weightForFew?.Dispose();
        _bias.Dispose();
    }
}
