using CaptionService.Captioning.Files;
using CaptionService.Captioning.Search;
using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// A network that writes captions from image features: its parameters, and the pass over whole captions that trains them.
/// For search, <see cref="Freeze"/> gives the same weights laid out for stepping.
/// State-dict names are stable: they are the names in <c>decoder.safetensors</c>.
/// </summary>
public abstract class CaptionDecoder : nn.Module
{
    /// <summary>Network and sizes.</summary>
    public DecoderOptions Options { get; }

    /// <summary>Type of the matrix products in training: float32 or bfloat16 (parameters stay float32).</summary>
    public ScalarType ComputeType { get; set; } = ScalarType.Float32;

    /// <summary>Share of word vectors' and outputs' values dropped in training, 0..1.</summary>
    public double Dropout { get; set; }

    private protected CaptionDecoder(DecoderOptions options) : base(options.Architecture)
    {
        Options = options;
    }

    /// <summary>A new decoder with random weights (drawn from torch's generator).</summary>
    /// <exception cref="ModelBundleException">The options are out of range.</exception>
    public static CaptionDecoder Create(DecoderOptions options)
    {
        options.Check();
        using var scope = NewDisposeScope();        // for what drawing the weights leaves behind
        CaptionDecoder decoder = options.Architecture switch
        {
            "show-and-tell" => new ShowAndTell(options),
            "show-attend-and-tell" => new ShowAttendAndTell(options),
            _ => new TopDown(options),
        };
        foreach (var parameter in decoder.parameters())
            parameter.MoveToOuterDisposeScope();
        return decoder;
    }

    /// <summary>A decoder for another language's words that shares every other weight with this one: what one learns, both know.</summary>
    /// <param name="vocabularySize">Words of the other language.</param>
    /// <exception cref="NotSupportedException">This network cannot share.</exception>
    public virtual CaptionDecoder ForWords(int vocabularySize) =>
        throw new NotSupportedException($"{Options.Architecture} cannot share its weights with another language.");

    /// <summary>One pass over whole captions, each word predicted from the true words before it.</summary>
    /// <param name="features">(N, 196, F), or (N, F) where the options say so; any float type.</param>
    /// <param name="captions">The captions of the N photos.</param>
    public abstract TrainingPass Forward(Tensor features, PackedCaptions captions);

    /// <summary>Scores of the words from the outputs of a pass.</summary>
    /// <param name="outputs">(M, H).</param>
    /// <returns>(M, V) logits in <see cref="ComputeType"/>.</returns>
    public abstract Tensor Logits(Tensor outputs);

    /// <summary>The weights as they are now, laid out for search; independent of later training.</summary>
    /// <param name="type">float32 or bfloat16.</param>
    public abstract FrozenDecoder Freeze(ScalarType type);

    /// <summary>The weights laid out for the fastest search there is here, a little less exact than float32.</summary>
    /// <param name="type">float32 or bfloat16: the faster one here.</param>
    public virtual FrozenDecoder FreezeForService(ScalarType type) => Freeze(type);

    /// <summary>The weights laid out for search with <see cref="Dropout"/> at work, so that captions are drawn from the network that learns
    /// from them.</summary>
    /// <param name="type">float32 or bfloat16.</param>
    /// <exception cref="NotSupportedException">This network has no such search.</exception>
    public virtual FrozenDecoder FreezeForSampling(ScalarType type) =>
        throw new NotSupportedException($"{Options.Architecture} cannot be sampled with dropout.");

    private protected Tensor Cast(Tensor parameter) => parameter.to(ComputeType);

    private protected Tensor Drop(Tensor x) => training && Dropout > 0 ? nn.functional.dropout(x, Dropout, training: true) : x;
}

/// <summary>A decoder's weights ready for search.</summary>
public abstract class FrozenDecoder : IDisposable
{
    /// <summary>Begins the captions of N photos.</summary>
    /// <param name="features">(N, 196, F) or (N, F), as in training.</param>
    public abstract DecoderState Start(Tensor features);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>What a decoder remembers of the captions being written, a row for each beam of each photo.</summary>
public abstract class DecoderState : IDisposable
{
    /// <summary>Reads a word in every row; the signature is <see cref="DecodeStep"/>.</summary>
    /// <param name="words">(n, b) int64.</param>
    /// <param name="photos">(n) int64: the photos of the step before that remain; null = all.</param>
    /// <param name="parents">(n, b) int64: the beam of the step before that each row continues; null at the first step.</param>
    /// <returns>(n, b, V) float32 log-probabilities of the next word.</returns>
    public abstract Tensor Step(Tensor words, Tensor? photos, Tensor? parents);

    /// <summary>(n·b, 196) float32: where the last step looked; null for a decoder that does not attend.</summary>
    public Tensor? Attention { get; private protected set; }

    /// <summary>Flat rows of the step before that the new rows continue, or null when they are the same.</summary>
    private protected static Tensor? Rows(Tensor? photos, Tensor? parents, long beams)
    {
        if (parents is null)
            return photos;
        using var scope = NewDisposeScope();
        var photo = photos ?? TensorArithmetic.upto(parents.shape[0], parents.device);
        using Scalar width = beams;
        return photo.mul(width).unsqueeze(1).plus(parents).view(-1).MoveToOuterDisposeScope();
    }

    /// <summary>Disposes what a field holds and puts a tensor of the current scope in its place.</summary>
    private protected static void Replace(ref Tensor field, Tensor value)
    {
        field.Dispose();
        field = value.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>The result of <see cref="CaptionDecoder.Forward"/>.</summary>
/// <param name="Outputs">(M, H), a row for each packed position, to be turned into words by <see cref="CaptionDecoder.Logits"/>.</param>
/// <param name="Penalty">A scalar that belongs to the loss (doubly stochastic attention), or null.</param>
/// <param name="BackwardThroughTime">Where the decoder differentiates its recurrence itself: what follows once autograd has
/// reached <paramref name="Outputs"/>; null when autograd does it all.</param>
public sealed record TrainingPass(Tensor Outputs, Tensor? Penalty = null, Action? BackwardThroughTime = null)
{
    /// <summary>Fills the gradients of every parameter.</summary>
    /// <param name="logits">(M, V): what <see cref="CaptionDecoder.Logits"/> made of <see cref="Outputs"/>.</param>
    /// <param name="gradient">(M, V): gradient of the loss.</param>
    public void Backward(Tensor logits, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        if (Penalty is null)
            autograd.backward([logits], [gradient]);
        else
            autograd.backward([logits, Penalty], [gradient, ones_like(Penalty)]);
        BackwardThroughTime?.Invoke();
    }
}

/// <summary>The parameters of an LSTM cell under PyTorch's names (gates in the order i, f, g, o).</summary>
internal sealed class LstmCell : nn.Module
{
    public readonly Parameter weight_ih, weight_hh, bias_ih, bias_hh;

    public LstmCell(int input, int hidden) : base(nameof(LstmCell))
    {
        double bound = 1 / Math.Sqrt(hidden);       // PyTorch's default
        using Scalar width = 2 * bound, half = bound, one = 1L;
        weight_ih = new Parameter(rand(4 * hidden, input).mul_(width).sub_(half));
        weight_hh = new Parameter(rand(4 * hidden, hidden).mul_(width).sub_(half));
        using var forget = zeros(4 * hidden);
        forget.narrow(0, hidden, hidden).fill_(one);  // remember at first (Jozefowicz et al. 2015)
        bias_ih = new Parameter(forget.clone());
        bias_hh = new Parameter(zeros(4 * hidden));
        RegisterComponents();
    }

    /// <summary>From summed gate inputs (R, 4H) and the cell (R, H), both float32, to the new hidden and cell (R, H).</summary>
    public static (Tensor Hidden, Tensor Cell) Next(Tensor gates, Tensor cell)
    {
        long h = cell.shape[1];
        var i = gates.narrow(1, 0, h).sigmoid();
        var f = gates.narrow(1, h, h).sigmoid();
        var g = gates.narrow(1, 2 * h, h).tanh();
        var o = gates.narrow(1, 3 * h, h).sigmoid();
        var next = f.mul(cell).plus(i.mul(g));
        return (o.mul(next.tanh()), next);
    }
}
