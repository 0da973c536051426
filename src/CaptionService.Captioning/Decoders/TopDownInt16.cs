using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// <see cref="TopDown"/> for search on a CPU, a step without tensors: products in 16-bit integers, all else in float32. The rows
/// of a step are shared out to the threads, each of which takes its own through the whole step.
/// </summary>
internal sealed class TopDownInt16 : FrozenDecoder
{
    public DecoderOptions Options { get; }
    public TopDownPhotos Photos { get; }
    public Int16Product Recurrent { get; }          // h1, h2 → gates of the first LSTM
    public Int16Product Spoken { get; }             // h2 → gates of the second
    public Int16Product Query { get; }              // h1 → queries of all heads
    public Int16Product Seen { get; }               // context, h1 → gates of the second, with its bias
    public Int16Product Output { get; }             // h2 → words

    /// <summary>What words add to the first LSTM's gates, (V, 4H) int16, and what a 1 of each stands for, (V) float32.</summary>
    public (Tensor Whole, Tensor Scales) Words { get; }

    /// <summary>Whether this processor and these sizes can.</summary>
    public static bool IsSupported(DecoderOptions options) => Int16Product.IsSupported && options.Hidden % Int16Product.Tile == 0;

    /// <param name="decoder">On the CPU; its weights are copied.</param>
    /// <param name="type">Number format of what is computed once for each photo: float32 or bfloat16.</param>
    public TopDownInt16(TopDown decoder, ScalarType type)
    {
        var d = decoder;
        Options = d.Options;
        int e = Options.Embedding, h = Options.Hidden, f = Options.FeatureSize;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Photos = new TopDownPhotos(decoder, type);
        Recurrent = new Int16Product(cat([d.attention_lstm.weight_hh, d.attention_lstm.weight_ih.narrow(1, e + f, h)], 1));
        Spoken = new Int16Product(d.language_lstm.weight_hh);
        Query = new Int16Product(d.query.weight!.times(1 / Math.Sqrt(h / Options.Heads)));
        Seen = new Int16Product(d.language_lstm.weight_ih, d.language_lstm.bias_ih.plus(d.language_lstm.bias_hh));
        // Both layers in one.
        Output = new Int16Product(d.embedding.weight!.mm(d.output.weight!), d.output_bias.plus(d.embedding.weight!.mv(d.output.bias!)));

        var words = nn.functional.linear(d.embedding.weight!, d.attention_lstm.weight_ih.narrow(1, 0, e));
        var scales = words.abs().amax([1]).times(1.0 / short.MaxValue).plus(1e-30);
        var whole = words.div(scales.unsqueeze(1)).round().to(ScalarType.Int16).contiguous();
        Words = (whole.DetachFromDisposeScope(), scales.contiguous().DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public override DecoderState Start(Tensor features) => new TopDownInt16State(this, features);

    /// <inheritdoc/>
    public override void Dispose()
    {
        Photos.Dispose();
        foreach (var product in new[] { Recurrent, Spoken, Query, Seen, Output })
            product.Dispose();
        Words.Whole.Dispose();
        Words.Scales.Dispose();
    }
}
