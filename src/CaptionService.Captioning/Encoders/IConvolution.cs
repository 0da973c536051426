using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>One 3×3 convolution with its ReLU; floating-point (<see cref="Convolution"/>) or in bytes (<see cref="Int8Convolution"/>).</summary>
internal interface IConvolution : IDisposable
{
    /// <summary>(N, in, side, side) → (N, out, side, side), channels_last.</summary>
    Tensor Apply(Tensor x);

    /// <summary>Takes its tensors out of the scope they were made in.</summary>
    void Own();
}
