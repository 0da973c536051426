using static TorchSharp.torch;

namespace CaptionService.Trainer.Optimize;

/// <summary>Logistic regression by Newton's method, with a ridge on all weights but the intercept: convex, so there is one answer.</summary>
internal static class LogisticRegression
{
    private const int MaxSteps = 100;

    /// <summary>Fits P(right) = 1 / (1 + exp(-(intercept + weights · row))).</summary>
    /// <param name="rows">Standardised features, all of one length.</param>
    /// <param name="right">What happened, one for each row.</param>
    /// <param name="ridge">Strength of the ridge: a weight w costs ridge · w² / 2 against the summed log-likelihood.</param>
    public static (double Intercept, double[] Weights) Fit(IReadOnlyList<double[]> rows, IReadOnlyList<bool> right, double ridge)
    {
        int size = rows[0].Length + 1;
        var w = new double[size];                                   // the intercept first
        for (int step = 0; step < MaxSteps; step++)
        {
            var gradient = new double[size];
            var curvature = new double[size, size];
            var x = new double[size];
            x[0] = 1;
            for (int row = 0; row < rows.Count; row++)
            {
                rows[row].CopyTo(x, 1);
                double sum = 0;
                for (int i = 0; i < size; i++)
                    sum += w[i] * x[i];
                double p = 1 / (1 + Math.Exp(-sum));
                for (int i = 0; i < size; i++)
                {
                    gradient[i] += ((right[row] ? 1 : 0) - p) * x[i];
                    for (int j = 0; j < size; j++)
                        curvature[i, j] += p * (1 - p) * x[i] * x[j];
                }
            }
            for (int i = 0; i < size; i++)
            {
                gradient[i] -= i == 0 ? 0 : ridge * w[i];
                curvature[i, i] += i == 0 ? 1e-9 : ridge;
            }
            double[] change = Solve(curvature, gradient);
            double largest = change.Max(Math.Abs);
            for (int i = 0; i < size; i++)
                w[i] += change[i] * Math.Min(1, 5 / largest);       // a full step from far off may overshoot
            if (largest < 1e-10)
                break;
        }
        return (w[0], w[1..]);
    }

    private static double[] Solve(double[,] a, double[] b)
    {
        using var scope = NewDisposeScope();
        return linalg.solve(tensor(a), tensor(b)).data<double>().ToArray();
    }
}
