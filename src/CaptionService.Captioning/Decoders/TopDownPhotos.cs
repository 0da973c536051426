using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>What <see cref="TopDown"/> computes once for each photo of a search.</summary>
internal sealed class TopDownPhotos : IDisposable
{
    private readonly DecoderOptions _options;
    private readonly ScalarType _type;
    private readonly Tensor _normWeight, _normBias, _key, _value, _meanWeight, _meanBias;

    public TopDownPhotos(TopDown decoder, ScalarType type)
    {
        (_options, _type) = (decoder.Options, type);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var lstm = decoder.attention_lstm;
        _normWeight = Keep(decoder.norm.weight!, ScalarType.Float32);
        _normBias = Keep(decoder.norm.bias!, ScalarType.Float32);
        _key = Keep(decoder.key.weight!, type);
        _value = Keep(decoder.value.weight!, type);
        _meanWeight = Keep(lstm.weight_ih.narrow(1, _options.Embedding, _options.FeatureSize), type);
        _meanBias = Keep(lstm.bias_ih.plus(lstm.bias_hh), type);

        static Tensor Keep(Tensor x, ScalarType type) => x.to(type, copy: true).contiguous().DetachFromDisposeScope();
    }

    /// <summary>Keys, values, and what the mean region adds to the first LSTM's gates.</summary>
    /// <param name="features">(n, P, F).</param>
    /// <returns>(n, heads, H/heads, P), (n, heads, P, H/heads), (n, 4H), of the type it was made for, in the caller's scope.</returns>
    public (Tensor Keys, Tensor Values, Tensor Mean) Of(Tensor features)
    {
        using var scope = NewDisposeScope();
        var regions = nn.functional.layer_norm(features.to(ScalarType.Float32), [_options.FeatureSize], _normWeight, _normBias);
        var cast = regions.to(_type);
        var keys = TopDown.Split(nn.functional.linear(cast, _key), _options.Heads).transpose(2, 3).contiguous();
        var values = TopDown.Split(nn.functional.linear(cast, _value), _options.Heads);
        var mean = nn.functional.linear(regions.mean([1L]).to(_type), _meanWeight, _meanBias);
        return (keys.MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope(), mean.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var t in new[] { _normWeight, _normBias, _key, _value, _meanWeight, _meanBias })
            t.Dispose();
    }
}
