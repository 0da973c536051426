using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// Two LSTMs (Anderson et al. 2018, "Bottom-Up and Top-Down Attention"): the first decides where to look, the second
/// what to say. Attention is multi-head scaled dot product (Vaswani et al. 2017) over layer-normalised regions;
/// word vectors are tied to the output layer (Press and Wolf 2017).
/// </summary>
internal sealed class TopDown : CaptionDecoder
{
    public readonly Embedding embedding;
    public readonly LayerNorm norm;
    public readonly LstmCell attention_lstm, language_lstm;
    public readonly Linear query, key, value, output;
    public readonly Parameter output_bias;

    /// <param name="options">Sizes.</param>
    /// <param name="trunk">Whose weights it shares, all but those of the words; null: none.</param>
    public TopDown(DecoderOptions options, TopDown? trunk = null) : base(options)
    {
        int e = options.Embedding, h = options.Hidden, f = options.FeatureSize;
        embedding = nn.Embedding(options.VocabularySize, e);
        using (Scalar small = 1 / Math.Sqrt(e))
        using (no_grad())
            embedding.weight!.mul_(small);       // tied: the logits start small
        norm = trunk?.norm ?? nn.LayerNorm(f);
        attention_lstm = trunk?.attention_lstm ?? new LstmCell(e + f + h, h);        // word, mean region, language hidden
        language_lstm = trunk?.language_lstm ?? new LstmCell(h + h, h);             // attended regions, attention hidden
        query = trunk?.query ?? nn.Linear(h, h, hasBias: false);
        key = trunk?.key ?? nn.Linear(f, h, hasBias: false);
        value = trunk?.value ?? nn.Linear(f, h, hasBias: false);
        output = trunk?.output ?? nn.Linear(h, e);
        output_bias = new Parameter(zeros(options.VocabularySize));
        RegisterComponents();
    }

    public override CaptionDecoder ForWords(int vocabularySize)
    {
        using var scope = NewDisposeScope();
        var other = new TopDown(Options with { VocabularySize = vocabularySize }, this);
        var shared = parameters().ToHashSet(ReferenceEqualityComparer.Instance);
        foreach (var parameter in other.parameters().Where(p => !shared.Contains(p)))
            parameter.MoveToOuterDisposeScope();
        return other;
    }

    public override TrainingPass Forward(Tensor features, PackedCaptions captions)
    {
        int e = Options.Embedding, h = Options.Hidden, f = Options.FeatureSize, heads = Options.Heads;
        long n = features.shape[0];

        // Everything that is not recurrent, in as few products as there are weights; autograd differentiates it.
        var regions = norm.forward(features.to(ScalarType.Float32));                         // (N, P, F)
        var cast = Cast(regions);
        var keys = Split(nn.functional.linear(cast, Cast(key.weight!)), heads);            // (N, heads, P, H/heads)
        var values = Split(nn.functional.linear(cast, Cast(value.weight!)), heads);
        var mean = nn.functional.linear(Cast(regions.mean([1L])), Cast(attention_lstm.weight_ih.narrow(1, e, f)),
            Cast(attention_lstm.bias_ih.plus(attention_lstm.bias_hh)));                     // (N, 4H)
        var words = Cast(Drop(embedding.forward(captions.Words)));                         // (M, E)
        var photoOfPosition = captions.Photos.index_select(0, captions.RowOfPosition);
        var gates = nn.functional.linear(words, Cast(attention_lstm.weight_ih.narrow(1, 0, e)))
            .plus(mean.index_select(0, photoOfPosition));                                      // (M, 4H)
        var weights1 = Cast(cat([attention_lstm.weight_hh, attention_lstm.weight_ih.narrow(1, e + f, h)], 1));   // (4H, 2H): h1, h2
        var weights2 = Cast(cat([language_lstm.weight_ih, language_lstm.weight_hh], 1));   // (4H, 3H): context, h1, h2
        var bias2 = Cast(language_lstm.bias_ih.plus(language_lstm.bias_hh));
        var queries = Cast(query.weight!.times(1 / Math.Sqrt(h / heads)));                   // (H, H)

        // The recurrence differentiates itself (TopDownRecurrence), from these tensors on.
        Tensor[] inputs = [gates, keys, values, weights1, queries, weights2, bias2];
        if (!is_grad_enabled())
            return new TrainingPass(TopDownRecurrence.Run(inputs, captions, h).Outputs);
        var recurrence = TopDownRecurrence.Run(inputs, captions, h);
        var outputs = recurrence.Outputs.requires_grad_(true);
        return new TrainingPass(outputs, null, () =>
        {
            using var scope = NewDisposeScope();
            Tensor[] learnt = [.. inputs.TakeWhile(input => input.requires_grad)];       // where only the encoder learns, not the weights
            autograd.backward(learnt, recurrence.Backward(outputs.grad!, weights: learnt.Length == inputs.Length));
        });
    }

    public override Tensor Logits(Tensor outputs)
    {
        var projected = nn.functional.linear(Cast(Drop(outputs)), Cast(output.weight!), Cast(output.bias!));
        return nn.functional.linear(projected, Cast(embedding.weight!), Cast(output_bias));
    }

    public override FrozenDecoder Freeze(ScalarType type) => new TopDownSearch(this, type, 0);

    public override FrozenDecoder FreezeForService(ScalarType type) =>
        TopDownInt16.IsSupported(Options) && output_bias.device_type == DeviceType.CPU ? new TopDownInt16(this, type) : Freeze(type);

    public override FrozenDecoder FreezeForSampling(ScalarType type) => new TopDownSearch(this, type, Dropout);

    /// <summary>(N, P, H) → (N, heads, P, H/heads), contiguous.</summary>
    internal static Tensor Split(Tensor x, int heads) =>
        x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2).contiguous();
}
