using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary><see cref="TopDown"/> for search: word gates of the whole vocabulary computed once, products fused.</summary>
internal sealed class TopDownSearch : FrozenDecoder
{
    private readonly DecoderOptions _options;
    private readonly ScalarType _type;
    private readonly TopDownPhotos _photos;
    private readonly double _dropout;
    private readonly Tensor _words;                                                          // (V, 4H), or with dropout (V, E)
    private readonly Tensor? _wordWeights;                                                   // with dropout (E, 4H)
    private readonly Tensor _weights1, _queries, _weights2, _bias2, _output, _outputBias;    // each step, transposed

    public TopDownSearch(TopDown decoder, ScalarType type, double dropout)
    {
        _dropout = dropout;
        _options = decoder.Options;
        _type = type;
        int e = _options.Embedding, h = _options.Hidden, f = _options.FeatureSize;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Tensor Keep(Tensor x) => x.to(type, copy: true).contiguous().DetachFromDisposeScope();
        var d = decoder;
        _photos = new TopDownPhotos(decoder, type);
        var wordWeights = d.attention_lstm.weight_ih.narrow(1, 0, e);
        _words = Keep(dropout > 0 ? d.embedding.weight! : nn.functional.linear(d.embedding.weight!, wordWeights));
        _wordWeights = dropout > 0 ? Keep(wordWeights.t()) : null;
        _weights1 = Keep(cat([d.attention_lstm.weight_hh, d.attention_lstm.weight_ih.narrow(1, e + f, h)], 1).t());
        _queries = Keep(d.query.weight!.times(1 / Math.Sqrt(h / _options.Heads)).t());
        _weights2 = Keep(cat([d.language_lstm.weight_ih, d.language_lstm.weight_hh], 1).t());
        _bias2 = Keep(d.language_lstm.bias_ih.plus(d.language_lstm.bias_hh));
        _output = Keep(d.embedding.weight!.mm(d.output.weight!).t());                        // (H, V): both layers in one
        _outputBias = Keep(d.output_bias.plus(d.embedding.weight!.mv(d.output.bias!)));
    }

    public override DecoderState Start(Tensor features) => new State(this, features);

    public override void Dispose()
    {
        _photos.Dispose();
        foreach (var t in new[] { _words, _weights1, _queries, _weights2, _bias2, _output, _outputBias })
            t.Dispose();
        _wordWeights?.Dispose();
    }

    private sealed class State : DecoderState
    {
        private readonly TopDownSearch _w;
        private long _beams = 1;
        private Tensor _keys, _values, _mean;         // (n, heads, H/heads, P), (n, heads, P, H/heads), (n, 4H)
        private Tensor _hidden, _cells;               // (n·b, 2H): h1 h2, type; c1 c2, float32

        public State(TopDownSearch weights, Tensor features)
        {
            _w = weights;
            int h = _w._options.Hidden;
            long n = features.shape[0];
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            var (keys, values, mean) = _w._photos.Of(features);
            _keys = keys.DetachFromDisposeScope();
            _values = values.DetachFromDisposeScope();
            _mean = mean.DetachFromDisposeScope();
            _hidden = zeros(n, 2 * h, _w._type, features.device).DetachFromDisposeScope();
            _cells = zeros(n, 2 * h, ScalarType.Float32, features.device).DetachFromDisposeScope();
        }

        public override Tensor Step(Tensor words, Tensor? photos, Tensor? parents)
        {
            int h = _w._options.Hidden, heads = _w._options.Heads;
            long n = words.shape[0], b = words.shape[1];
            using var scope = NewDisposeScope();
            using var inference = inference_mode();
            if (photos is not null)
            {
                Replace(ref _keys, _keys.index_select(0, photos));
                Replace(ref _values, _values.index_select(0, photos));
                Replace(ref _mean, _mean.index_select(0, photos));
            }
            var rows = Rows(photos, parents, _beams);
            var hidden = rows is null ? _hidden : _hidden.index_select(0, rows);
            var cells = rows is null ? _cells : _cells.index_select(0, rows);
            _beams = b;

            var word = _w._words.index_select(0, words.reshape(-1));
            if (_w._wordWeights is not null)
                word = nn.functional.dropout(word, _w._dropout, training: true).mm(_w._wordWeights);
            var gates = word.view(n, b, -1).plus(_mean.unsqueeze(1)).view(n * b, -1);
            var (h1, c1) = LstmCell.Next(gates.addmm(hidden, _w._weights1).to(ScalarType.Float32), cells.narrow(1, 0, h));
            h1 = h1.to(_w._type);

            // One query group a photo: keys and values serve all its beams without a copy.
            var query = h1.mm(_w._queries).view(n, b, heads, -1).transpose(1, 2);         // (n, heads, b, H/heads)
            var weights = query.matmul(_keys).softmax(-1);                                // (n, heads, b, P)
            var context = weights.matmul(_values).transpose(1, 2).reshape(n * b, h);

            var input = cat([context, h1, hidden.narrow(1, h, h)], 1);                    // (n·b, 3H)
            var (h2, c2) = LstmCell.Next(addmm(_w._bias2, input, _w._weights2, 1, 1).to(ScalarType.Float32), cells.narrow(1, h, h));
            h2 = h2.to(_w._type);

            Replace(ref _hidden, cat([h1, h2], 1));
            Replace(ref _cells, cat([c1, c2], 1));
            Attention?.Dispose();
            Attention = weights.mean([1L], type: ScalarType.Float32).view(n * b, -1).DetachFromDisposeScope();
            if (_w._dropout > 0)
                h2 = nn.functional.dropout(h2, _w._dropout, training: true);
            return addmm(_w._outputBias, h2, _w._output, 1, 1).to(ScalarType.Float32).log_softmax(-1).view(n, b, -1).MoveToOuterDisposeScope();
        }

        public override void Dispose()
        {
            foreach (var t in new[] { _keys, _values, _mean, _hidden, _cells })
                t.Dispose();
            Attention?.Dispose();
        }
    }
}
