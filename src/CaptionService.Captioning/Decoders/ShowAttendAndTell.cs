using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// Show, Attend and Tell (Xu et al. 2015) with deterministic soft attention: additive attention over the regions, the
/// context scaled by a gate of the hidden state (β), and the doubly stochastic penalty that asks every region to be looked at.
/// </summary>
internal sealed class ShowAttendAndTell : CaptionDecoder
{
    /// <summary>Weight λ of the doubly stochastic penalty.</summary>
    private const double Lambda = 1.0;

    public readonly Embedding embedding;
    public readonly LayerNorm norm;
    public readonly Linear initial_hidden, initial_cell, key, query, energy, gate, output;
    public readonly LstmCell lstm;

    public ShowAttendAndTell(DecoderOptions options) : base(options)
    {
        int e = options.Embedding, h = options.Hidden, f = options.FeatureSize, a = options.Attention;
        embedding = nn.Embedding(options.VocabularySize, e);
        using (Scalar small = 0.1)
        using (no_grad())
            embedding.weight!.mul_(small);
        norm = nn.LayerNorm(f);
        initial_hidden = nn.Linear(f, h);
        initial_cell = nn.Linear(f, h);
        key = nn.Linear(f, a);
        query = nn.Linear(h, a, hasBias: false);
        energy = nn.Linear(a, 1, hasBias: false);
        gate = nn.Linear(h, f);
        lstm = new LstmCell(e + f, h);
        output = nn.Linear(h + f, options.VocabularySize);
        RegisterComponents();
    }

    public override TrainingPass Forward(Tensor features, PackedCaptions captions)
    {
        int e = Options.Embedding, f = Options.FeatureSize;
        var regions = norm.forward(features.to(ScalarType.Float32));                        // (N, P, F)
        var mean = regions.mean([1L]);
        var h = initial_hidden.forward(mean).tanh().index_select(0, captions.Photos);      // (R, H)
        var c = initial_cell.forward(mean).tanh().index_select(0, captions.Photos);
        var keys = nn.functional.linear(Cast(regions), Cast(key.weight!), Cast(key.bias!)).index_select(0, captions.Photos);  // (R, P, A)
        var values = Cast(regions).index_select(0, captions.Photos);                        // (R, P, F)
        var gates = nn.functional.linear(Cast(Drop(embedding.forward(captions.Words))), Cast(lstm.weight_ih.narrow(1, 0, e)),
            Cast(lstm.bias_ih.plus(lstm.bias_hh)));                                         // (M, 4H)
        var weights = Cast(cat([lstm.weight_ih.narrow(1, e, f), lstm.weight_hh], 1)).t();  // (F+H, 4H)
        var (queryT, energyT, gateT, gateBias) = (Cast(query.weight!).t(), Cast(energy.weight!).t(), Cast(gate.weight!).t(), Cast(gate.bias!));
        var steps = gates.split([.. captions.BatchSizes.Select(s => (long)s)], 0);
        Tensor[] outputs = new Tensor[steps.Length], attention = new Tensor[steps.Length];
        for (int t = 0; t < steps.Length; t++)
        {
            int alive = captions.BatchSizes[t];
            var before = Cast(h.narrow(0, 0, alive));
            var scores = keys.narrow(0, 0, alive).plus(before.mm(queryT).unsqueeze(1)).tanh().matmul(energyT).squeeze(-1);    // (R_t, P)
            var alpha = scores.to(ScalarType.Float32).softmax(-1);
            var context = Cast(alpha).unsqueeze(1).bmm(values.narrow(0, 0, alive)).squeeze(1)
                .mul(addmm(gateBias, before, gateT, 1, 1).sigmoid());                      // (R_t, F)
            (h, c) = LstmCell.Next(steps[t].plus(cat([context, before], 1).mm(weights)).to(ScalarType.Float32), c.narrow(0, 0, alive));
            outputs[t] = cat([h, context.to(ScalarType.Float32)], 1);
            attention[t] = alpha;
        }
        // Σ over regions of (1 - Σ over steps of α)², a mean over captions.
        using var none = zeros(captions.Rows, features.shape[1], ScalarType.Float32, features.device);
        using Scalar one = 1L;
        var missing = none.index_add(0, captions.RowOfPosition, cat(attention, 0), one).sub(one);
        var penalty = missing.mul(missing).sum(1).mean().times(Lambda / features.shape[1]);
        return new TrainingPass(cat(outputs, 0), penalty);
    }

    public override Tensor Logits(Tensor outputs) =>
        nn.functional.linear(Cast(Drop(outputs)), Cast(output.weight!), Cast(output.bias!));

    public override FrozenDecoder Freeze(ScalarType type) => new Search(this, type);

    private sealed class Search : FrozenDecoder
    {
        public readonly DecoderOptions Options;
        public readonly ScalarType Type;
        public readonly Tensor NormWeight, NormBias, InitialHidden, InitialHiddenBias, InitialCell, InitialCellBias, Key, KeyBias;
        public readonly Tensor WordGates, Weights, Query, Energy, Gate, GateBias, Output, OutputBias;

        public Search(ShowAttendAndTell d, ScalarType type)
        {
            Options = d.Options;
            Type = type;
            int e = Options.Embedding, f = Options.FeatureSize;
            using var noGrad = no_grad();
            using var scope = NewDisposeScope();
            Tensor Wide(Tensor x) => x.to(ScalarType.Float32, copy: true).contiguous().DetachFromDisposeScope();
            Tensor Keep(Tensor x) => x.to(type, copy: true).contiguous().DetachFromDisposeScope();
            (NormWeight, NormBias) = (Wide(d.norm.weight!), Wide(d.norm.bias!));
            (InitialHidden, InitialHiddenBias) = (Wide(d.initial_hidden.weight!), Wide(d.initial_hidden.bias!));
            (InitialCell, InitialCellBias) = (Wide(d.initial_cell.weight!), Wide(d.initial_cell.bias!));
            (Key, KeyBias) = (Keep(d.key.weight!), Keep(d.key.bias!));
            WordGates = Keep(nn.functional.linear(d.embedding.weight!, d.lstm.weight_ih.narrow(1, 0, e), d.lstm.bias_ih.plus(d.lstm.bias_hh)));
            Weights = Keep(cat([d.lstm.weight_ih.narrow(1, e, f), d.lstm.weight_hh], 1).t());
            (Query, Energy) = (Keep(d.query.weight!.t()), Keep(d.energy.weight!.t()));
            (Gate, GateBias) = (Keep(d.gate.weight!.t()), Keep(d.gate.bias!));
            (Output, OutputBias) = (Keep(d.output.weight!.t()), Keep(d.output.bias!));
        }

        public override DecoderState Start(Tensor features) => new State(this, features);

        public override void Dispose()
        {
            foreach (var t in new[] { NormWeight, NormBias, InitialHidden, InitialHiddenBias, InitialCell, InitialCellBias, Key, KeyBias, WordGates, Weights, Query, Energy, Gate, GateBias, Output, OutputBias })
                t.Dispose();
        }
    }

    private sealed class State : DecoderState
    {
        private readonly Search _w;
        private long _beams = 1;
        private Tensor _keys, _values, _hidden, _cell;      // (n, P, A), (n, P, F), (n·b, H) twice

        public State(Search weights, Tensor features)
        {
            _w = weights;
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            var regions = nn.functional.layer_norm(features.to(ScalarType.Float32), [_w.Options.FeatureSize], _w.NormWeight, _w.NormBias);
            var mean = regions.mean([1L]);
            _hidden = nn.functional.linear(mean, _w.InitialHidden, _w.InitialHiddenBias).tanh().to(_w.Type).DetachFromDisposeScope();
            _cell = nn.functional.linear(mean, _w.InitialCell, _w.InitialCellBias).tanh().DetachFromDisposeScope();
            _values = regions.to(_w.Type).DetachFromDisposeScope();
            _keys = nn.functional.linear(_values, _w.Key, _w.KeyBias).DetachFromDisposeScope();
        }

        public override Tensor Step(Tensor words, Tensor? photos, Tensor? parents)
        {
            long n = words.shape[0], b = words.shape[1];
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            if (photos is not null)
            {
                Replace(ref _keys, _keys.index_select(0, photos));
                Replace(ref _values, _values.index_select(0, photos));
            }
            var rows = Rows(photos, parents, _beams);
            _beams = b;
            var h = rows is null ? _hidden : _hidden.index_select(0, rows);
            var c = rows is null ? _cell : _cell.index_select(0, rows);

            // (n, 1, P, A) + (n, b, 1, A): a photo's keys serve all its beams.
            var scores = _keys.unsqueeze(1).plus(h.mm(_w.Query).view(n, b, 1, -1)).tanh().matmul(_w.Energy).squeeze(-1);
            var alpha = scores.to(ScalarType.Float32).softmax(-1);                                                   // (n, b, P)
            var context = alpha.to(_w.Type).bmm(_values).view(n * b, -1).mul(addmm(_w.GateBias, h, _w.Gate, 1, 1).sigmoid());
            var gates = _w.WordGates.index_select(0, words.reshape(-1)).addmm(cat([context, h], 1), _w.Weights);
            (h, c) = LstmCell.Next(gates.to(ScalarType.Float32), c);
            h = h.to(_w.Type);

            Replace(ref _hidden, h);
            Replace(ref _cell, c);
            Attention?.Dispose();
            Attention = alpha.view(n * b, -1).DetachFromDisposeScope();
            return addmm(_w.OutputBias, cat([h, context], 1), _w.Output, 1, 1).to(ScalarType.Float32).log_softmax(-1)
                .view(n, b, -1).MoveToOuterDisposeScope();
        }

        public override void Dispose()
        {
            foreach (var t in new[] { _keys, _values, _hidden, _cell })
                t.Dispose();
            Attention?.Dispose();
        }
    }
}
