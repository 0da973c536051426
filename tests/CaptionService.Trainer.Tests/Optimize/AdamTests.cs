using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;
using Adam = CaptionService.Trainer.Optimize.Adam;

namespace CaptionService.Trainer.Tests.Optimize;

public sealed class AdamTests : IDisposable
{
    private const double Rate = 0.02, MaxNorm = 1.5;

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    // Gradients of norm 0.2 to 20: some steps are clipped, some are not.
    [Fact]
    public void Five_steps_are_those_of_torch_with_clipping()
    {
        var ours = Parameters();
        var theirs = Parameters();
        using var adam = new Adam(ours, 0.9, 0.98, average: 0);
        using var torchs = optim.Adam(theirs.Select(p => p.Value), Rate, 0.9, 0.98, eps: 1e-8);
        int clipped = 0;
        for (int step = 0; step < 5; step++)
        {
            SetGradients(ours, step);
            SetGradients(theirs, step);
            double norm = nn.utils.clip_grad_norm_(theirs.Select(p => p.Value), MaxNorm);
            torchs.step();
            Assert.Equal(norm, adam.Step(Rate, MaxNorm), 1e-4);
            clipped += norm > MaxNorm ? 1 : 0;
            foreach (var (mine, other) in ours.Zip(theirs))
                Assert.True(mine.Value.allclose(other.Value, 1e-5, 1e-6), $"step {step}, {mine.Name}");
            Assert.All(ours, p => Assert.Null(p.Value.grad));
        }
        Assert.Equal(5, adam.Steps);
        Assert.InRange(clipped, 1, 4);
        Assert.False(ours[0].Value.allclose(Parameters()[0].Value, 1e-3, 1e-3));
    }

    [Fact]
    public void The_average_follows_the_weights_and_gives_them_back()
    {
        var parameters = Parameters();
        using var adam = new Adam(parameters, 0.9, 0.98, average: 0.5);
        var average = parameters[0].Value.detach().clone();
        for (int step = 1; step <= 12; step++)
        {
            SetGradients(parameters, step);
            adam.Step(Rate, MaxNorm);
            double decay = Math.Min(0.5, (1.0 + step) / (10 + step));         // slower and slower until 0.5
            average = average.times(decay).plus(parameters[0].Value.detach().times(1 - decay));
        }
        var trained = parameters[0].Value.detach().clone();
        Assert.False(average.allclose(trained, 1e-4, 1e-4));
        using (adam.UseAverage())
            Assert.True(parameters[0].Value.allclose(average, 1e-5, 1e-6));
        Assert.True(parameters[0].Value.equal(trained).all().item<bool>());

        using var plain = new Adam(parameters, 0.9, 0.98, average: 0);
        using (plain.UseAverage())
            Assert.True(parameters[0].Value.equal(trained).all().item<bool>());
    }

    [Fact]
    public void A_state_taken_back_goes_on_bit_for_bit()
    {
        var unbroken = Parameters();
        using var one = new Adam(unbroken, 0.9, 0.98, 0.99);
        for (int step = 0; step < 3; step++)
        {
            SetGradients(unbroken, step);
            one.Step(Rate, MaxNorm);
        }
        var resumed = Parameters();
        using (no_grad())
            foreach (var (mine, other) in resumed.Zip(unbroken))
                mine.Value.copy_(other.Value);
        using var two = new Adam(resumed, 0.9, 0.98, 0.99);
        two.Load(one.State.ToDictionary(s => s.Key, s => s.Value.clone()), one.Steps);
        for (int step = 3; step < 6; step++)
        {
            SetGradients(unbroken, step);
            SetGradients(resumed, step);
            Assert.Equal(one.Step(Rate, MaxNorm), two.Step(Rate, MaxNorm));
        }
        foreach (var (mine, other) in resumed.Zip(unbroken))
            Assert.Equal(other.Value.bytes.ToArray(), mine.Value.bytes.ToArray());
        foreach (var (name, state) in one.State)
            Assert.Equal(state.bytes.ToArray(), two.State[name].bytes.ToArray());
    }

    [Fact]
    public void A_parameter_without_a_gradient_stays_and_so_does_its_state()
    {
        var parameters = Parameters();
        using var adam = new Adam(parameters, 0.9, 0.98, 0.99);
        SetGradients(parameters, 0);
        adam.Step(Rate, MaxNorm);
        Tensor[] before = [.. parameters.Select(p => p.Value.detach().clone())];
        var state = adam.State.ToDictionary(s => s.Key, s => s.Value.clone());
        SetGradients(parameters, 1);
        parameters[1].Value.grad = null;
        double norm = adam.Step(Rate, MaxNorm);
        Assert.True(norm > 0);
        Assert.False(parameters[0].Value.equal(before[0]).all().item<bool>());
        Assert.True(parameters[1].Value.equal(before[1]).all().item<bool>());
        Assert.All(adam.State.Where(s => s.Key.EndsWith("bias", StringComparison.Ordinal)), s => Assert.True(s.Value.equal(state[s.Key]).all().item<bool>()));
    }

    [Fact]
    public void A_gradient_that_is_not_a_number_moves_nothing()
    {
        var parameters = Parameters();
        using var adam = new Adam(parameters, 0.9, 0.98, 0.99);
        SetGradients(parameters, 0);
        adam.Step(Rate, MaxNorm);
        var before = parameters[1].Value.detach().clone();
        foreach (float broken in new[] { float.NaN, float.PositiveInfinity })
        {
            SetGradients(parameters, 1);
            parameters[0].Value.grad!.view(-1)[1] = tensor(broken);
            Assert.False(double.IsFinite(adam.Step(Rate, MaxNorm)));
            Assert.True(parameters[1].Value.equal(before).all().item<bool>());
            Assert.True(adam.State.Values.All(s => s.isfinite().all().item<bool>()));
        }
    }

    // A tensor on its way from one call to the next that no scope holds may be finalized while libtorch reads it.
    [Fact]
    public void No_tensor_is_left_to_the_finalizer()
    {
        var parameters = Parameters();
        SetGradients(parameters, 0);
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        using (var adam = new Adam(parameters, 0.9, 0.98, 0.99))
        {
            adam.Step(Rate, MaxNorm);
            using (adam.UseAverage())
                Assert.True(adam.State.Values.All(s => s.is_floating_point()));
            adam.Load(adam.State, 1);
            adam.Restart();
        }
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    private static (string Name, Parameter Value)[] Parameters()
    {
        manual_seed(1);
        return [("weight", new Parameter(randn(4, 3))), ("bias", new Parameter(randn(5)))];
    }

    private static void SetGradients((string Name, Parameter Value)[] parameters, int step)
    {
        manual_seed(100 + step);
        double size = Math.Pow(10, step % 3 - 1);
        using var noGrad = no_grad();
        foreach (var (_, value) in parameters)
        {
            var gradient = randn(value.shape).times(size);
            if (value.grad is { } there)
                there.copy_(gradient);
            else
                value.grad = gradient;
        }
    }
}
