using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// The recurrent part of <see cref="TopDown"/> over packed captions, forward and backward written out.
/// Autograd would add up the gradient of each weight matrix step by step; here the steps only leave their gate gradients
/// behind, and each weight's gradient is one large product over all positions at the end (about three times faster on a CPU).
/// </summary>
/// <remarks>
/// For each step t, with R_t rows alive:
/// <code>
/// s1 = [h1, h2]                    g1 = gates_t + s1 W1ᵀ      h1, c1 = lstm(g1, c1)
/// q  = h1 Qᵀ  (scaled)             p  = softmax(q Kᵀ)         context = p V
/// s2 = [context, h1, h2]           g2 = s2 W2ᵀ + b2           h2, c2 = lstm(g2, c2)      output_t = h2
/// </code>
/// </remarks>
internal sealed class TopDownRecurrence
{
    private readonly Tensor _keys, _values, _weights1, _queries, _weights2;   // as in TopDown.Forward
    private readonly PackedCaptions _captions;
    private readonly int _h;
    private readonly int[] _offsets;                  // first packed position of each step

    // What each step leaves for the way back; packed as the captions (M = positions).
    private readonly Tensor _s1, _s2;                 // (M, 2H), (M, 3H) compute type
    private readonly Cell[] _cells1, _cells2;
    private readonly Tensor[] _p, _slots;             // (N, heads, slots, P) compute type; (R_t) slot of each row

    private sealed record Cell(Tensor I, Tensor F, Tensor G, Tensor O, Tensor Previous, Tensor TanhC);

    /// <summary>(M, H) float32: h2 at every position.</summary>
    public Tensor Outputs { get; }

    public static TopDownRecurrence Run(Tensor[] inputs, PackedCaptions captions, int hidden)
    {
        using var noGrad = no_grad();
        return new TopDownRecurrence(inputs, captions, hidden);
    }

    private TopDownRecurrence(Tensor[] inputs, PackedCaptions captions, int hidden)
    {
        var gates = inputs[0].detach();
        (_keys, _values) = (inputs[1].detach(), inputs[2].detach());
        (_weights1, _queries, _weights2) = (inputs[3].detach(), inputs[4].detach(), inputs[5].detach());
        var bias2 = inputs[6].detach();
        _captions = captions;
        _h = hidden;
        int[] sizes = captions.BatchSizes;
        int steps = sizes.Length, rows = captions.Rows;
        long positions = gates.shape[0];
        _offsets = new int[steps];
        for (int t = 1; t < steps; t++)
            _offsets[t] = _offsets[t - 1] + sizes[t - 1];

        var (type, device) = (gates.dtype, gates.device);
        _s1 = empty(positions, 2 * hidden, type, device);
        _s2 = empty(positions, 3 * hidden, type, device);
        Outputs = empty(positions, hidden, ScalarType.Float32, device);
        (_cells1, _cells2, _p, _slots) = (new Cell[steps], new Cell[steps], new Tensor[steps], new Tensor[steps]);
        var keysT = _keys.transpose(2, 3);
        using var weights1T = _weights1.t();
        using var weights2T = _weights2.t();
        using var queriesT = _queries.t();

        var h1 = zeros(rows, hidden, type, device);
        var h2 = zeros(rows, hidden, type, device);
        var c1 = zeros(rows, hidden, ScalarType.Float32, device);
        var c2 = zeros(rows, hidden, ScalarType.Float32, device);
        for (int t = 0; t < steps; t++)
        {
            using var scope = NewDisposeScope();
            int alive = sizes[t], at = _offsets[t];
            (h1, h2, c1, c2) = (h1.narrow(0, 0, alive), h2.narrow(0, 0, alive), c1.narrow(0, 0, alive), c2.narrow(0, 0, alive));
            _slots[t] = alive == rows ? captions.Slots.alias() : captions.Slots.narrow(0, 0, alive);

            var s1 = _s1.narrow(0, at, alive);
            s1.narrow(1, 0, hidden).copy_(h1);
            s1.narrow(1, hidden, hidden).copy_(h2);
            (_cells1[t], h1, c1) = Lstm(gates.narrow(0, at, alive).addmm(s1, weights1T), c1, type);

            var query = Grouped(h1.mm(queriesT), _slots[t]);
            _p[t] = query.matmul(keysT).softmax(-1);                                  // (N, heads, slots, P)
            var context = Ungrouped(_p[t].matmul(_values), _slots[t]);                // (R_t, H)

            var s2 = _s2.narrow(0, at, alive);
            s2.narrow(1, 0, hidden).copy_(context);
            s2.narrow(1, hidden, hidden).copy_(h1);
            s2.narrow(1, 2 * hidden, hidden).copy_(h2);
            (_cells2[t], h2, c2) = Lstm(addmm(bias2, s2, weights2T, 1, 1), c2, type);
            Outputs.narrow(0, at, alive).copy_(h2);

            scope.MoveToOuter(h1, h2, c1, c2, _p[t], _slots[t]);
            foreach (var c in new[] { _cells1[t], _cells2[t] })
                scope.MoveToOuter(c.I, c.F, c.G, c.O, c.Previous, c.TanhC);
        }
    }

    /// <summary>Gradients of the seven inputs, in their order and types.</summary>
    /// <param name="gradient">(M, H) float32: gradient of <see cref="Outputs"/>.</param>
    /// <param name="weights">Whether the weights' are wanted too; else only those of the first three.</param>
    public Tensor[] Backward(Tensor gradient, bool weights)
    {
        using var noGrad = no_grad();
        int[] sizes = _captions.BatchSizes;
        int steps = sizes.Length, rows = _captions.Rows;
        var (type, device) = (_s1.dtype, _s1.device);
        long positions = _s1.shape[0], n = _keys.shape[0], slots = _captions.SlotsPerPhoto;
        var g1 = empty(positions, 4 * _h, type, device);
        var g2 = empty(positions, 4 * _h, type, device);
        var dq = empty(positions, _h, type, device);
        // By photo, for the keys' and values' products: p, its gradient before softmax, queries and context gradients of every step.
        Tensor[] ds = new Tensor[steps], queries = new Tensor[steps], contexts = new Tensor[steps];
        var valuesT = _values.transpose(2, 3);

        var dh1 = zeros(rows, _h, ScalarType.Float32, device);      // from the step after
        var dh2 = zeros(rows, _h, ScalarType.Float32, device);
        var dc1 = zeros(rows, _h, ScalarType.Float32, device);
        var dc2 = zeros(rows, _h, ScalarType.Float32, device);
        for (int t = steps - 1; t >= 0; t--)
        {
            using var scope = NewDisposeScope();
            int alive = sizes[t], at = _offsets[t];
            var (dh1t, dh2t) = (dh1.narrow(0, 0, alive), dh2.narrow(0, 0, alive));

            var gates2 = g2.narrow(0, at, alive);
            LstmBackward(_cells2[t], dh2t.plus(gradient.narrow(0, at, alive)), dc2.narrow(0, 0, alive), gates2);
            var ds2 = gates2.mm(_weights2);                                            // (R_t, 3H): context, h1, h2 before
            dh1t.plus_(ds2.narrow(1, _h, _h));
            dh2t.copy_(ds2.narrow(1, 2 * _h, _h));

            var dContext = Grouped(ds2.narrow(1, 0, _h), _slots[t]);                   // (N, heads, slots, H/heads)
            var dp = dContext.matmul(valuesT);                                         // (N, heads, slots, P)
            var weighted = dp.mul_(_p[t]);
            var dScores = weighted.sub(_p[t].mul(weighted.sum(-1, keepdim: true)));
            var dQuery = Ungrouped(dScores.matmul(_keys), _slots[t]);
            dq.narrow(0, at, alive).copy_(dQuery);
            dh1t.plus_(dQuery.mm(_queries));

            var gates1 = g1.narrow(0, at, alive);
            LstmBackward(_cells1[t], dh1t, dc1.narrow(0, 0, alive), gates1);
            var ds1 = gates1.mm(_weights1);                                            // (R_t, 2H): h1, h2 before
            dh1t.copy_(ds1.narrow(1, 0, _h));
            dh2t.plus_(ds1.narrow(1, _h, _h));

            // The query of a step is h1 Qᵀ: cheaper to compute again than to keep.
            queries[t] = Grouped(_s2.narrow(0, at, alive).narrow(1, _h, _h).mm(_queries.t()), _slots[t]);
            (ds[t], contexts[t]) = (dScores, dContext);
            scope.MoveToOuter(ds[t], queries[t], contexts[t]);
        }

        var h1s = _s2.narrow(1, _h, _h);
        var allP = cat(_p, 2);                                                         // (N, heads, T·slots, P)
        return
        [
            g1,
            cat(ds, 2).transpose(2, 3).matmul(cat(queries, 2)),                        // keys
            allP.transpose(2, 3).matmul(cat(contexts, 2)),                             // values
            .. weights ? [g1.t().mm(_s1), dq.t().mm(h1s), g2.t().mm(_s2), g2.sum(0, type: ScalarType.Float32).to(type)] : Array.Empty<Tensor>(),
        ];
    }

    /// <summary>Rows (R_t, H) to their photos, (N, heads, slots, H/heads); empty slots are zero.</summary>
    private Tensor Grouped(Tensor rows, Tensor slots)
    {
        long n = _keys.shape[0], heads = _keys.shape[1];
        var all = rows.new_zeros(n * _captions.SlotsPerPhoto, _h).index_copy_(0, slots, rows);
        return all.view(n, _captions.SlotsPerPhoto, heads, -1).transpose(1, 2);
    }

    private Tensor Ungrouped(Tensor grouped, Tensor slots) =>
        grouped.transpose(1, 2).reshape(-1, _h).index_select(0, slots);

    private static (Cell, Tensor H, Tensor C) Lstm(Tensor gates, Tensor c, ScalarType type)
    {
        long h = c.shape[1];
        using var wide = gates.to(ScalarType.Float32);
        var i = wide.narrow(1, 0, h).sigmoid();
        var f = wide.narrow(1, h, h).sigmoid();
        var g = wide.narrow(1, 2 * h, h).tanh();
        var o = wide.narrow(1, 3 * h, h).sigmoid();
        var next = f.mul(c).addcmul_(i, g, s_one);
        var tanh = next.tanh();
        return (new Cell(i, f, g, o, c, tanh), o.mul(tanh).to(type), next);
    }

    /// <summary>From dh and dc (which becomes that of the step before) to the gates' gradient, written to <paramref name="gates"/> (R,
    /// 4H).</summary>
    private static void LstmBackward(Cell cell, Tensor dh, Tensor dc, Tensor gates)
    {
        long h = dh.shape[1];
        var (i, f, g, o, previous, tanh) = cell;
        using var scope = NewDisposeScope();
        var da = dh.mul(o);
        dc.plus_(da.sub_(da.mul(tanh).mul_(tanh)));                                     // dh·o·(1 - tanh²)
        gates.narrow(1, 3 * h, h).copy_(Sigmoid(dh.mul(tanh), o));
        gates.narrow(1, 0, h).copy_(Sigmoid(dc.mul(g), i));
        gates.narrow(1, h, h).copy_(Sigmoid(dc.mul(previous), f));
        var dg = dc.mul(i);
        gates.narrow(1, 2 * h, h).copy_(dg.sub(dg.mul(g).mul_(g)));
        dc.mul_(f);

        static Tensor Sigmoid(Tensor d, Tensor y)                                      // d·y·(1 - y)
        {
            var dy = d.mul_(y);
            return dy.sub(dy.mul(y));
        }
    }

    private static readonly Scalar s_one = 1.0f;
}
