using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// Show and Tell (Vinyals et al. 2015), as in the tutorial this service grew from: an embedding of the whole photo is the
/// first input of an LSTM, the words follow. The photo is the mean of its regions, or one vector (fc7).
/// </summary>
internal sealed class ShowAndTell : CaptionDecoder
{
    public readonly Linear image, output;
    public readonly Embedding embedding;
    public readonly LstmCell lstm;

    public ShowAndTell(DecoderOptions options) : base(options)
    {
        image = nn.Linear(options.FeatureSize, options.Embedding);
        embedding = nn.Embedding(options.VocabularySize, options.Embedding);
        using (Scalar small = 0.1)
        using (no_grad())
            embedding.weight!.mul_(small);
        lstm = new LstmCell(options.Embedding, options.Hidden);
        output = nn.Linear(options.Hidden, options.VocabularySize);
        RegisterComponents();
    }

    public override TrainingPass Forward(Tensor features, PackedCaptions captions)
    {
        var (h, c) = First(Photo(features).index_select(0, captions.Photos));              // (R, H)
        var bias = lstm.bias_ih.plus(lstm.bias_hh);
        var gates = nn.functional.linear(Cast(Drop(embedding.forward(captions.Words))), Cast(lstm.weight_ih), Cast(bias));   // (M, 4H)
        var recurrent = Cast(lstm.weight_hh).t();
        var steps = gates.split([.. captions.BatchSizes.Select(s => (long)s)], 0);
        var outputs = new Tensor[steps.Length];
        for (int t = 0; t < steps.Length; t++)
        {
            int alive = captions.BatchSizes[t];
            (h, c) = LstmCell.Next(steps[t].plus(Cast(h.narrow(0, 0, alive)).mm(recurrent)).to(ScalarType.Float32), c.narrow(0, 0, alive));
            outputs[t] = h;
        }
        return new TrainingPass(cat(outputs, 0));
    }

    public override Tensor Logits(Tensor outputs) =>
        nn.functional.linear(Cast(Drop(outputs)), Cast(output.weight!), Cast(output.bias!));

    public override FrozenDecoder Freeze(ScalarType type) => new Search(this, type);

    private static Tensor Photo(Tensor features) =>
        features.dim() == 3 ? features.to(ScalarType.Float32).mean([1L]) : features.to(ScalarType.Float32);      // (N, F)

    private (Tensor H, Tensor C) First(Tensor photo)
    {
        var x = Cast(Drop(nn.functional.linear(Cast(photo), Cast(image.weight!), Cast(image.bias!))));
        var gates = nn.functional.linear(x, Cast(lstm.weight_ih), Cast(lstm.bias_ih.plus(lstm.bias_hh))).to(ScalarType.Float32);
        using var none = zeros(photo.shape[0], Options.Hidden, ScalarType.Float32, photo.device);
        return LstmCell.Next(gates, none);
    }

    private sealed class Search : FrozenDecoder
    {
        public readonly ScalarType Type;
        public readonly Tensor Image, ImageBias, Wih, WordGates, Bias, Recurrent, Output, OutputBias;

        public Search(ShowAndTell d, ScalarType type)
        {
            Type = type;
            using var noGrad = no_grad();
            using var scope = NewDisposeScope();
            Tensor Keep(Tensor x) => x.to(type, copy: true).contiguous().DetachFromDisposeScope();
            Image = Keep(d.image.weight!);
            ImageBias = Keep(d.image.bias!);
            Wih = Keep(d.lstm.weight_ih);
            Bias = Keep(d.lstm.bias_ih.plus(d.lstm.bias_hh));
            WordGates = Keep(nn.functional.linear(d.embedding.weight!, d.lstm.weight_ih, d.lstm.bias_ih.plus(d.lstm.bias_hh)));   // (V, 4H)
            Recurrent = Keep(d.lstm.weight_hh.t());
            Output = Keep(d.output.weight!.t());
            OutputBias = Keep(d.output.bias!);
        }

        public override DecoderState Start(Tensor features) => new State(this, features);

        public override void Dispose()
        {
            foreach (var t in new[] { Image, ImageBias, Wih, WordGates, Bias, Recurrent, Output, OutputBias })
                t.Dispose();
        }
    }

    private sealed class State : DecoderState
    {
        private readonly Search _w;
        private long _beams = 1;
        private Tensor _hidden, _cell;      // (n·b, H)

        public State(Search weights, Tensor features)
        {
            _w = weights;
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            var x = nn.functional.linear(Photo(features).to(_w.Type), _w.Image, _w.ImageBias);
            var gates = nn.functional.linear(x, _w.Wih, _w.Bias).to(ScalarType.Float32);
            var (h, c) = LstmCell.Next(gates, zeros(features.shape[0], _w.Recurrent.shape[0], ScalarType.Float32, features.device));
            (_hidden, _cell) = (h.to(_w.Type).DetachFromDisposeScope(), c.DetachFromDisposeScope());
        }

        public override Tensor Step(Tensor words, Tensor? photos, Tensor? parents)
        {
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            var rows = Rows(photos, parents, _beams);
            _beams = words.shape[1];
            var h = rows is null ? _hidden : _hidden.index_select(0, rows);
            var c = rows is null ? _cell : _cell.index_select(0, rows);
            (h, c) = LstmCell.Next(_w.WordGates.index_select(0, words.reshape(-1)).addmm(h, _w.Recurrent).to(ScalarType.Float32), c);
            h = h.to(_w.Type);
            Replace(ref _hidden, h);
            Replace(ref _cell, c);
            return addmm(_w.OutputBias, h, _w.Output, 1, 1).to(ScalarType.Float32).log_softmax(-1)
                .view(words.shape[0], words.shape[1], -1).MoveToOuterDisposeScope();
        }

        public override void Dispose()
        {
            _hidden.Dispose();
            _cell.Dispose();
        }
    }
}
