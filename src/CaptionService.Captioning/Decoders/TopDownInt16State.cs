using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>The captions that a <see cref="TopDownInt16"/> is writing.</summary>
internal sealed unsafe class TopDownInt16State : DecoderState
{
    private const int Tile = Int16Product.Tile;

    private readonly TopDownInt16 _w;
    private readonly int _hidden, _heads, _size, _places, _placesPadded, _sizePadded, _largest;      // H, heads, H/heads, P
    // Float32: (n, heads, size, places padded), (n, heads, places, size padded), (n, 4H).
    private readonly Tensor _keys, _values, _mean;
    private readonly Scratch[] _scratch;                // of each thread
    private int[] _photos;                              // of each photo that is still searched, its row in these
    private int _beams = 1;
    private Memory? _before, _spare;                    // of the last step, null at first, and of the one before that

    /// <summary>What rows remember: h1 h2 rounded (rows, 2H) with what a 1 of each row stands for (rows), c1 c2 (rows, 2H).</summary>
    private sealed class Memory(int rows, int hidden) : IDisposable
    {
        public int Rows => rows;

        private readonly Tensor _outputs = Empty((long)rows * 2 * hidden, ScalarType.Int16), _scales = Empty(rows, ScalarType.Float32);
        private readonly Tensor _cells = Empty((long)rows * 2 * hidden, ScalarType.Float32);

        public short* Outputs => _outputs.Pointer<short>();
        public float* Scales => _scales.Pointer<float>();
        public float* Cells => _cells.Pointer<float>();

        public void Dispose()
        {
            _outputs.Dispose();
            _scales.Dispose();
            _cells.Dispose();
        }
    }

    /// <summary>A thread's room for its rows of a step, kept from step to step.</summary>
    private sealed class Scratch(TopDownInt16State state) : IDisposable
    {
        private Tensor? _room;
        private int _rows;

        public float* Recurrent => At(0);                                       // (rows, 4H): gates of the first LSTM that the rows before give
        public float* Spoken => Recurrent + (long)_rows * 4 * state._hidden;    // (rows, 4H): gates of the second
        public float* Queries => Spoken + (long)_rows * 4 * state._hidden;      // (rows, H)
        public float* Joined => Queries + (long)_rows * state._hidden;          // (rows, 2H): context or h1, h1 or h2
        public short* Whole => (short*)(Joined + (long)_rows * 2 * state._hidden);      // (rows, 2H): the same rounded
        public float* Scales => (float*)(Whole + (long)_rows * 2 * state._hidden);      // (rows)
        public float* Sums => Scales + (_rows + 15) / 16 * 16;                  // (rows, the largest of what is needed for one product)

        private float* At(long offset) => _room!.Pointer<float>() + offset;

        public void Reserve(int rows)
        {
            _rows = rows;
            long floats = (long)rows * (12 * state._hidden + state._largest) + (rows + 15) / 16 * 16;
            if (_room is null || _room.NumberOfElements < floats)
            {
                _room?.Dispose();
                _room = Empty(floats, ScalarType.Float32);
            }
        }

        public void Dispose() => _room?.Dispose();
    }

    public TopDownInt16State(TopDownInt16 weights, Tensor features)
    {
        _w = weights;
        (_hidden, _heads, _places) = (_w.Options.Hidden, _w.Options.Heads, (int)features.shape[1]);
        _size = _hidden / _heads;
        (_placesPadded, _sizePadded) = ((_places + Tile - 1) / Tile * Tile, (_size + Tile - 1) / Tile * Tile);
        _largest = Math.Max(Math.Max(_w.Output.Outputs, 4 * _hidden), _placesPadded + _sizePadded);
        _photos = [.. Enumerable.Range(0, (int)features.shape[0])];
        _scratch = [.. Enumerable.Range(0, get_num_threads()).Select(_ => new Scratch(this))];
        using var scope = NewDisposeScope();
        using var inference = inference_mode();
        var (keys, values, mean) = _w.Photos.Of(features);
        _keys = nn.functional.pad(keys.to(ScalarType.Float32), [0, _placesPadded - _places]).contiguous().DetachFromDisposeScope();
        _values = nn.functional.pad(values.to(ScalarType.Float32), [0, _sizePadded - _size]).contiguous().DetachFromDisposeScope();
        _mean = mean.to(ScalarType.Float32).contiguous().DetachFromDisposeScope();
    }

    public override Tensor Step(Tensor words, Tensor? photos, Tensor? parents)
    {
        int n = (int)words.shape[0], b = (int)words.shape[1], rows = n * b;
        long[] said = words.data<long>().ToArray();
        long[]? stay = photos?.data<long>().ToArray(), continued = parents?.data<long>().ToArray();
        // The row of the step before that each row continues.
        int[] before = continued is null ? [] : [.. continued.Select((beam, row) => (int)(stay?[row / b] ?? row / b) * _beams + (int)beam)];
        if (stay is not null)
            _photos = Array.ConvertAll(stay, row => _photos[row]);
        _beams = b;

        using var inference = inference_mode();
        var after = _spare?.Rows == rows ? _spare : new Memory(rows, _hidden);
        Attention?.Dispose();
        Attention = zeros(rows, _places, ScalarType.Float32).DetachFromDisposeScope();
        var logP = empty(n, b, _w.Options.VocabularySize, ScalarType.Float32);
        float* attention = Attention.Pointer<float>(), target = logP.Pointer<float>();
        // Fewer rows than a product takes together cost as much.
        int units = (rows + Int16Product.Together - 1) / Int16Product.Together, threads = Math.Min(_scratch.Length, units);
        for (int thread = 0; thread < threads; thread++)
            _scratch[thread].Reserve((units + threads - 1) / threads * Int16Product.Together);
        if (threads == 1)
            Run(0);
        else
            Parallel.For(0, threads, Run);
        if (_spare != after)
            _spare?.Dispose();
        (_spare, _before) = (_before, after);
        return logP;

        void Run(int thread)
        {
            int first = units * thread / threads * Int16Product.Together, last = Math.Min(units * (thread + 1) / threads * Int16Product.Together, rows);
            Rows(_scratch[thread], first, last - first, said, before, b, after, attention, target);
        }
    }

    /// <summary>Takes some rows through the step.</summary>
    private void Rows(Scratch scratch, int first, int count, long[] said, int[] before, int b, Memory after, float* attention, float* target)
    {
        int h = _hidden, vocabulary = _w.Options.VocabularySize, padded = _w.Output.Outputs;
        float* recurrent = scratch.Recurrent, spoken = scratch.Spoken, sums = scratch.Sums;
        float* queries = scratch.Queries, joined = scratch.Joined, scales = scratch.Scales;
        short* whole = scratch.Whole;
        short* outputs = after.Outputs + (long)first * 2 * h;
        float* cells = after.Cells + (long)first * 2 * h, outputScales = after.Scales + first;

        // What depends on the row before alone, once for all that continue it.
        var slots = new int[count];
        if (_before is not null)
        {
            int different = 0;
            var found = new Dictionary<int, int>();
            for (int r = 0; r < count; r++)
            {
                int row = before[first + r];
                if (!found.TryGetValue(row, out slots[r]))
                {
                    found[row] = slots[r] = different;
                    var outputsBefore = new Span<short>(_before.Outputs + (long)row * 2 * h, 2 * h);
                    outputsBefore.CopyTo(new Span<short>(whole + (long)different * 2 * h, 2 * h));
                    scales[different++] = _before.Scales[row];
                }
            }
            _w.Recurrent.Multiply(whole, 2 * h, scales, different, recurrent);
            _w.Spoken.Multiply(whole + h, 2 * h, scales, different, spoken);
        }

        // The first LSTM: where to look.
        short* words = _w.Words.Whole.Pointer<short>();
        float* wordScales = _w.Words.Scales.Pointer<float>(), mean = _mean.Pointer<float>();
        for (int r = 0; r < count; r++)
        {
            float* gates = sums + (long)r * 4 * h;
            new Span<float>(mean + (long)_photos[(first + r) / b] * 4 * h, 4 * h).CopyTo(new Span<float>(gates, 4 * h));
            long word = said[first + r];
            VectorMath.Add(gates, words + word * 4 * h, wordScales[word], 4 * h);
            if (_before is not null)
                VectorMath.Add(gates, recurrent + (long)slots[r] * 4 * h, 4 * h);
            float* output = joined + (long)r * 2 * h + h;
            float* cell = _before is null ? null : _before.Cells + (long)before[first + r] * 2 * h;
            VectorMath.Lstm(gates, cell, cells + (long)r * 2 * h, output, h);
            scales[r] = Int16Product.Round(output, h, whole + (long)r * h);
        }

        _w.Query.Multiply(whole, h, scales, count, queries);
        for (int r = 0, same; r < count; r += same)
        {
            for (same = 1; r + same < count && (first + r + same) / b == (first + r) / b;)
                same++;
            Attend(_photos[(first + r) / b], queries + (long)r * h, same, joined + (long)r * 2 * h, sums, attention + (long)(first + r) * _places);
        }

        // The second LSTM: what to say.
        for (int r = 0; r < count; r++)
            scales[r] = Int16Product.Round(joined + (long)r * 2 * h, 2 * h, whole + (long)r * 2 * h);
        _w.Seen.Multiply(whole, 2 * h, scales, count, sums);
        for (int r = 0; r < count; r++)
        {
            float* gates = sums + (long)r * 4 * h, both = joined + (long)r * 2 * h;
            if (_before is not null)
                VectorMath.Add(gates, spoken + (long)slots[r] * 4 * h, 4 * h);
            new Span<float>(both + h, h).CopyTo(new Span<float>(both, h));
            float* cell = _before is null ? null : _before.Cells + (long)before[first + r] * 2 * h + h;
            VectorMath.Lstm(gates, cell, cells + (long)r * 2 * h + h, both + h, h);
            outputScales[r] = Int16Product.Round(both, 2 * h, outputs + (long)r * 2 * h);
        }

        _w.Output.Multiply(outputs + h, 2 * h, outputScales, count, sums);
        for (int r = 0; r < count; r++)
        {
            float* logits = sums + (long)r * padded;
            VectorMath.Shift(logits, -VectorMath.LogSumExp(logits, padded), padded);
            new Span<float>(logits, vocabulary).CopyTo(new Span<float>(target + (long)(first + r) * vocabulary, vocabulary));
        }
    }

    /// <summary>Attention of a photo's rows, head by head.</summary>
    /// <param name="photo">Its row in keys and values.</param>
    /// <param name="queries">(count, H).</param>
    /// <param name="count">Rows.</param>
    /// <param name="contexts">(count, 2H): takes what is seen in the first half of each.</param>
    /// <param name="room">For one head's weights and contexts.</param>
    /// <param name="attention">(count, P): takes the mean of the weights.</param>
    private void Attend(int photo, float* queries, int count, float* contexts, float* room, float* attention)
    {
        float* scores = room, context = room + (long)count * _placesPadded;
        for (int head = 0; head < _heads; head++)
        {
            long place = (long)photo * _heads + head;
            float* keys = _keys.Pointer<float>() + place * _size * _placesPadded, values = _values.Pointer<float>() + place * _places * _sizePadded;
            VectorMath.Multiply(queries + head * _size, _hidden, count, keys, _size, _placesPadded, scores);
            for (int r = 0; r < count; r++)
            {
                float* row = scores + (long)r * _placesPadded, mean = attention + (long)r * _places;
                new Span<float>(row + _places, _placesPadded - _places).Fill(float.NegativeInfinity);
                VectorMath.Softmax(row, _placesPadded);
                for (int p = 0; p < _places; p++)
                    mean[p] += row[p] / _heads;
            }
            VectorMath.Multiply(scores, _placesPadded, count, values, _places, _sizePadded, context);
            for (int r = 0; r < count; r++)
            {
                float* target = contexts + (long)r * 2 * _hidden + head * _size;
                new Span<float>(context + (long)r * _sizePadded, _size).CopyTo(new Span<float>(target, _size));
            }
        }
    }

    private static Tensor Empty(long size, ScalarType type) => empty(size, type).DetachFromDisposeScope();

    public override void Dispose()
    {
        foreach (var t in new[] { _keys, _values, _mean })
            t.Dispose();
        foreach (var scratch in _scratch)
            scratch.Dispose();
        _before?.Dispose();
        _spare?.Dispose();
        Attention?.Dispose();
    }
}
