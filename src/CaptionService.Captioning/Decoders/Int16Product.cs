using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CaptionService.Captioning.Torch;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Decoders;

/// <summary>
/// y = W·x for few x and weights that never change, in whole numbers: x in 13 bits by its largest value, each row of W in as many of
/// 16 as its sums leave room for in 32. Three times as exact as bfloat16 and as small, and as fast on processors that have no
/// instructions for that. The sums are exact: y does not depend on what else is multiplied.
/// </summary>
internal sealed unsafe class Int16Product : IDisposable
{
    /// <summary>Outputs computed together: the number of outputs is rounded up to a multiple.</summary>
    public const int Tile = 64;

    /// <summary>Inputs are a multiple of this.</summary>
    public const int Step = 32;

    /// <summary>Rows multiplied together.</summary>
    public const int Together = 5;

    private const int Most = 4096;                  // of x

    private readonly int _inputs;
    private readonly Tensor _weights;               // (outputs / 64, inputs / 2, 64, 2) int16
    private readonly Tensor _units, _bias;          // (outputs) float32

    /// <summary>Outputs, rounded up.</summary>
    public int Outputs { get; }

    /// <summary>Whether this processor can.</summary>
    public static bool IsSupported => Avx2.IsSupported;

    /// <summary>Whether 512 bits are multiplied at a time instead of 256, which gives the same.</summary>
    internal bool IsWide { get; init; } = Avx512BW.IsSupported;

    /// <param name="weight">(outputs, inputs), of any float type; stays the caller's.</param>
    /// <param name="bias">(outputs); null: 0.</param>
    public Int16Product(Tensor weight, Tensor? bias = null)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        _inputs = (int)weight.shape[1];
        ArgumentOutOfRangeException.ThrowIfNotEqual(_inputs % Step, 0);
        long given = weight.shape[0];
        Outputs = (int)(given + Tile - 1) / Tile * Tile;
        var w = weight.to(ScalarType.Float32);
        w = cat([w, zeros(Outputs - given, _inputs)], 0);
        // The largest fits, and so does the greatest sum, whatever x is.
        Tensor size = w.abs(), largest = size.amax([1]).times(1.0 / short.MaxValue);
        var units = maximum(largest, size.sum(1).times(1.0 / (int.MaxValue / Most - _inputs / 2))).plus(1e-30);
        var whole = w.div(units.unsqueeze(1)).round().to(ScalarType.Int16).view(Outputs / Tile, Tile, _inputs / 2, 2);
        _weights = whole.permute(0, 2, 1, 3).contiguous().DetachFromDisposeScope();
        _units = units.DetachFromDisposeScope();
        // An output that is none is no word's.
        var none = zeros(Outputs - given).plus(bias is null ? 0 : float.NegativeInfinity);
        _bias = cat([(bias ?? zeros(given)).to(ScalarType.Float32), none], 0).DetachFromDisposeScope();
    }

    /// <summary>Rounds values for a product.</summary>
    /// <param name="x">(size), a multiple of <see cref="Step"/>.</param>
    /// <param name="size">Values.</param>
    /// <param name="whole">(size): takes them.</param>
    /// <returns>What a 1 stands for.</returns>
    public static float Round(float* x, int size, short* whole)
    {
        var largest = Vector512<float>.Zero;
        for (int i = 0; i < size; i += VectorMath.Width)
            largest = Vector512.Max(largest, Vector512.Abs(Vector512.Load(x + i)));
        float most = 1e-30f;
        for (int i = 0; i < VectorMath.Width; i++)
            most = MathF.Max(most, largest[i]);
        var factor = Vector512.Create(Most / most);
        for (int i = 0; i < size; i += Step)
        {
            var low = Vector512.Round(Vector512.Load(x + i) * factor);
            var high = Vector512.Round(Vector512.Load(x + i + VectorMath.Width) * factor);
            Vector512.Narrow(Vector512.ConvertToInt32Native(low), Vector512.ConvertToInt32Native(high)).Store(whole + i);
        }
        return most / Most;
    }

    /// <summary>y = W·x + bias.</summary>
    /// <param name="x">(rows, inputs), a row every <paramref name="stride"/>.</param>
    /// <param name="stride">Values from one row to the next.</param>
    /// <param name="scales">(rows): what a 1 of each stands for.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="y">(rows, <see cref="Outputs"/>).</param>
    public void Multiply(short* x, int stride, float* scales, int rows, float* y)
    {
        short* w = _weights.Pointer<short>();
        float* units = _units.Pointer<float>(), bias = _bias.Pointer<float>();
        int* sums = stackalloc int[Together * Tile];
        for (int tile = 0; tile < Outputs; tile += Tile, w += Tile * _inputs)
        {
            for (int row = 0; row < rows; row += Together)
            {
                if (IsWide)
                    Wide(w, x + row * stride, stride, rows - row, sums);
                else
                    Narrow(w, x + row * stride, stride, rows - row, sums);
                for (int r = row; r < Math.Min(row + Together, rows); r++)
                {
                    for (int o = 0; o < Tile; o += VectorMath.Width)
                    {
                        var sum = Vector512.ConvertToSingle(Vector512.Load(sums + (r - row) * Tile + o));
                        var unit = Vector512.Load(units + tile + o) * scales[r];
                        Vector512.FusedMultiplyAdd(sum, unit, Vector512.Load(bias + tile + o)).Store(y + (long)r * Outputs + tile + o);
                    }
                }
            }
        }
    }

    /// <summary>A tile's sums for five rows; where fewer are left, the last one again.</summary>
    private void Wide(short* w, short* x, int stride, int left, int* sums)
    {
        Vector512<int> a0 = default, a1 = default, a2 = default, a3 = default;
        Vector512<int> b0 = default, b1 = default, b2 = default, b3 = default;
        Vector512<int> c0 = default, c1 = default, c2 = default, c3 = default;
        Vector512<int> d0 = default, d1 = default, d2 = default, d3 = default;
        Vector512<int> e0 = default, e1 = default, e2 = default, e3 = default;
        int* xa = (int*)x, xb = Row(1), xc = Row(2), xd = Row(3), xe = Row(4);      // two inputs at a time
        for (int pair = 0; pair < _inputs / 2; pair++, w += 2 * Tile)
        {
            Vector512<short> w0 = Vector512.Load(w), w1 = Vector512.Load(w + 32), w2 = Vector512.Load(w + 64), w3 = Vector512.Load(w + 96);
            var v = Vector512.Create(xa[pair]).AsInt16();
            a0 += Avx512BW.MultiplyAddAdjacent(w0, v);
            a1 += Avx512BW.MultiplyAddAdjacent(w1, v);
            a2 += Avx512BW.MultiplyAddAdjacent(w2, v);
            a3 += Avx512BW.MultiplyAddAdjacent(w3, v);
            v = Vector512.Create(xb[pair]).AsInt16();
            b0 += Avx512BW.MultiplyAddAdjacent(w0, v);
            b1 += Avx512BW.MultiplyAddAdjacent(w1, v);
            b2 += Avx512BW.MultiplyAddAdjacent(w2, v);
            b3 += Avx512BW.MultiplyAddAdjacent(w3, v);
            v = Vector512.Create(xc[pair]).AsInt16();
            c0 += Avx512BW.MultiplyAddAdjacent(w0, v);
            c1 += Avx512BW.MultiplyAddAdjacent(w1, v);
            c2 += Avx512BW.MultiplyAddAdjacent(w2, v);
            c3 += Avx512BW.MultiplyAddAdjacent(w3, v);
            v = Vector512.Create(xd[pair]).AsInt16();
            d0 += Avx512BW.MultiplyAddAdjacent(w0, v);
            d1 += Avx512BW.MultiplyAddAdjacent(w1, v);
            d2 += Avx512BW.MultiplyAddAdjacent(w2, v);
            d3 += Avx512BW.MultiplyAddAdjacent(w3, v);
            v = Vector512.Create(xe[pair]).AsInt16();
            e0 += Avx512BW.MultiplyAddAdjacent(w0, v);
            e1 += Avx512BW.MultiplyAddAdjacent(w1, v);
            e2 += Avx512BW.MultiplyAddAdjacent(w2, v);
            e3 += Avx512BW.MultiplyAddAdjacent(w3, v);
        }
        Store(0, a0, a1, a2, a3);
        Store(1, b0, b1, b2, b3);
        Store(2, c0, c1, c2, c3);
        Store(3, d0, d1, d2, d3);
        Store(4, e0, e1, e2, e3);

        int* Row(int row) => (int*)(x + Math.Min(row, left - 1) * stride);

        void Store(int row, Vector512<int> s0, Vector512<int> s1, Vector512<int> s2, Vector512<int> s3)
        {
            s0.Store(sums + row * Tile);
            s1.Store(sums + row * Tile + 16);
            s2.Store(sums + row * Tile + 32);
            s3.Store(sums + row * Tile + 48);
        }
    }

    /// <summary>A tile's sums for five rows, in vectors half as wide, of which there are half as many: a quarter of the tile after the other.</summary>
    private void Narrow(short* tile, short* x, int stride, int left, int* sums)
    {
        int* xa = (int*)x, xb = Row(1), xc = Row(2), xd = Row(3), xe = Row(4);
        for (int quarter = 0; quarter < 4; quarter++, sums += Tile / 4)
        {
            Vector256<int> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default;
            Vector256<int> c1 = default, d0 = default, d1 = default, e0 = default, e1 = default;
            short* w = tile + quarter * (Tile / 2);
            for (int pair = 0; pair < _inputs / 2; pair++, w += 2 * Tile)
            {
                Vector256<short> w0 = Vector256.Load(w), w1 = Vector256.Load(w + 16);
                var v = Vector256.Create(xa[pair]).AsInt16();
                a0 += Avx2.MultiplyAddAdjacent(w0, v);
                a1 += Avx2.MultiplyAddAdjacent(w1, v);
                v = Vector256.Create(xb[pair]).AsInt16();
                b0 += Avx2.MultiplyAddAdjacent(w0, v);
                b1 += Avx2.MultiplyAddAdjacent(w1, v);
                v = Vector256.Create(xc[pair]).AsInt16();
                c0 += Avx2.MultiplyAddAdjacent(w0, v);
                c1 += Avx2.MultiplyAddAdjacent(w1, v);
                v = Vector256.Create(xd[pair]).AsInt16();
                d0 += Avx2.MultiplyAddAdjacent(w0, v);
                d1 += Avx2.MultiplyAddAdjacent(w1, v);
                v = Vector256.Create(xe[pair]).AsInt16();
                e0 += Avx2.MultiplyAddAdjacent(w0, v);
                e1 += Avx2.MultiplyAddAdjacent(w1, v);
            }
            Store(0, a0, a1);
            Store(1, b0, b1);
            Store(2, c0, c1);
            Store(3, d0, d1);
            Store(4, e0, e1);
        }

        int* Row(int row) => (int*)(x + Math.Min(row, left - 1) * stride);

        void Store(int row, Vector256<int> s0, Vector256<int> s1)
        {
            s0.Store(sums + row * Tile);
            s1.Store(sums + row * Tile + 8);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weights.Dispose();
        _units.Dispose();
        _bias.Dispose();
    }
}
