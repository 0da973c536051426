using System.Runtime.Intrinsics;

namespace CaptionService.Captioning.Decoders;

/// <summary>Loops over float32 values in memory, sixteen at a time; lengths are multiples of <see cref="Width"/>.</summary>
internal static unsafe class VectorMath
{
    /// <summary>Values in a vector.</summary>
    public const int Width = 16;

    /// <summary>e^x, exact to 2e-7 of it; as good as 0 below -87, and no greater above 88.</summary>
    public static Vector512<float> Exp(Vector512<float> x)
    {
        // e^x = 2^n · e^r, |r| at most ln 2 / 2, where a Taylor polynomial is as exact as float32. ln 2 is split, so that x - n · ln 2 is exact.
        // In this order what is no number stays so.
        x = Vector512.MinNative(Vector512.Create(88f), Vector512.MaxNative(Vector512.Create(-87.3f), x));
        var n = Vector512.Round(x * 1.44269504f);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.FusedMultiplyAdd(r, Vector512.Create(1f / 720), Vector512.Create(1f / 120));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f / 24));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f / 6));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f));
        return p * ((Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23).AsSingle();
    }

    /// <summary>An LSTM's step: from the sums of its gates i, f, g, o to cell and output.</summary>
    /// <param name="gates">(4 · size).</param>
    /// <param name="cell">(size): the cell before; null: 0.</param>
    /// <param name="next">(size): takes the cell.</param>
    /// <param name="output">(size).</param>
    /// <param name="size">Units.</param>
    public static void Lstm(float* gates, float* cell, float* next, float* output, int size)
    {
        for (int u = 0; u < size; u += Width)
        {
            var c = Sigmoid(Vector512.Load(gates + u)) * Tanh(Vector512.Load(gates + 2 * size + u));
            if (cell != null)
                c += Sigmoid(Vector512.Load(gates + size + u)) * Vector512.Load(cell + u);
            c.Store(next + u);
            (Sigmoid(Vector512.Load(gates + 3 * size + u)) * Tanh(c)).Store(output + u);
        }
    }

    private static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exp(-x));

    private static Vector512<float> Tanh(Vector512<float> x) => Vector512.Create(2f) / (Vector512<float>.One + Exp(x * -2f)) - Vector512<float>.One;

    /// <summary>Softmax in place.</summary>
    /// <param name="x">(size); ends in -∞ where fewer count.</param>
    /// <param name="size">Values.</param>
    public static void Softmax(float* x, int size)
    {
        float largest = Largest(x, size);
        var sum = Vector512<float>.Zero;
        for (int i = 0; i < size; i += Width)
        {
            var e = Exp(Vector512.Load(x + i) - Vector512.Create(largest));
            e.Store(x + i);
            sum += e;
        }
        Scale(x, 1 / Vector512.Sum(sum), size);
    }

    /// <summary>log Σ e^x.</summary>
    /// <param name="x">(size).</param>
    /// <param name="size">Values.</param>
    public static float LogSumExp(float* x, int size)
    {
        float largest = Largest(x, size);
        var sum = Vector512<float>.Zero;
        for (int i = 0; i < size; i += Width)
            sum += Exp(Vector512.Load(x + i) - Vector512.Create(largest));
        return largest + MathF.Log(Vector512.Sum(sum));
    }

    private static float Largest(float* x, int size)
    {
        var largest = Vector512.Load(x);
        for (int i = Width; i < size; i += Width)
            largest = Vector512.MaxNative(largest, Vector512.Load(x + i));
        float most = largest[0];
        for (int i = 1; i < Width; i++)
            most = MathF.Max(most, largest[i]);
        return most;
    }

    /// <summary>x += number.</summary>
    public static void Shift(float* x, float number, int size)
    {
        for (int i = 0; i < size; i += Width)
            (Vector512.Load(x + i) + Vector512.Create(number)).Store(x + i);
    }

    /// <summary>x *= number.</summary>
    public static void Scale(float* x, float number, int size)
    {
        for (int i = 0; i < size; i += Width)
            (Vector512.Load(x + i) * number).Store(x + i);
    }

    /// <summary>y += x.</summary>
    public static void Add(float* y, float* x, int size)
    {
        for (int i = 0; i < size; i += Width)
            (Vector512.Load(y + i) + Vector512.Load(x + i)).Store(y + i);
    }

    /// <summary>y += factor · x.</summary>
    public static void Add(float* y, short* x, float factor, int size)
    {
        for (int i = 0; i < size; i += Width)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(x + i));
            (Vector512.Load(y + i) + Vector512.ConvertToSingle(Vector512.Create(low, high)) * factor).Store(y + i);
        }
    }

    /// <summary>y = x · m for rows of x.</summary>
    /// <param name="x">(rows, inputs), a row every <paramref name="xStride"/>.</param>
    /// <param name="xStride">Values from one row to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="m">(inputs, outputs).</param>
    /// <param name="inputs">Any number.</param>
    /// <param name="outputs">A multiple of 64.</param>
    /// <param name="y">(rows, outputs).</param>
    public static void Multiply(float* x, int xStride, int rows, float* m, int inputs, int outputs, float* y)
    {
        for (int row = 0; row < rows; row += 2)
        {
            int last = Math.Min(row + 1, rows - 1);             // of an odd number, the last one twice
            float* x0 = x + row * xStride, x1 = x + last * xStride, y0 = y + row * outputs, y1 = y + last * outputs;
            for (int o = 0; o < outputs; o += 4 * Width)
            {
                Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
                Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default;
                float* w = m + o;
                for (int i = 0; i < inputs; i++, w += outputs)
                {
                    Vector512<float> w0 = Vector512.Load(w), w1 = Vector512.Load(w + 16);
                    Vector512<float> w2 = Vector512.Load(w + 32), w3 = Vector512.Load(w + 48);
                    Vector512<float> a = Vector512.Create(x0[i]), b = Vector512.Create(x1[i]);
                    a0 = Vector512.FusedMultiplyAdd(w0, a, a0);
                    a1 = Vector512.FusedMultiplyAdd(w1, a, a1);
                    a2 = Vector512.FusedMultiplyAdd(w2, a, a2);
                    a3 = Vector512.FusedMultiplyAdd(w3, a, a3);
                    b0 = Vector512.FusedMultiplyAdd(w0, b, b0);
                    b1 = Vector512.FusedMultiplyAdd(w1, b, b1);
                    b2 = Vector512.FusedMultiplyAdd(w2, b, b2);
                    b3 = Vector512.FusedMultiplyAdd(w3, b, b3);
                }
                a0.Store(y0 + o);
                a1.Store(y0 + o + 16);
                a2.Store(y0 + o + 32);
                a3.Store(y0 + o + 48);
                b0.Store(y1 + o);
                b1.Store(y1 + o + 16);
                b2.Store(y1 + o + 32);
                b3.Store(y1 + o + 48);
            }
        }
    }
}
