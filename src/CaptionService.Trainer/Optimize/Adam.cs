using CaptionService.Captioning.Torch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Optimize;

/// <summary>
/// Adam (Kingma and Ba 2015) with gradient clipping by global norm and an exponential average of the weights.
/// Written here, not taken from the library, because a checkpoint needs its state by name, bit for bit.
/// </summary>
internal sealed class Adam : IDisposable
{
    private readonly (string Name, Parameter Value)[] _parameters;
    private readonly Dictionary<string, Tensor> _state = [];       // m.NAME, v.NAME, average.NAME
    private readonly double _beta1, _beta2, _average;

    /// <summary>Steps made.</summary>
    public long Steps { get; private set; }

    public Adam(IEnumerable<(string Name, Parameter Value)> parameters, double beta1, double beta2, double average)
    {
        _parameters = [.. parameters];
        (_beta1, _beta2, _average) = (beta1, beta2, average);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, value) in _parameters)
        {
            _state["m." + name] = zeros_like(value).DetachFromDisposeScope();
            _state["v." + name] = zeros_like(value).DetachFromDisposeScope();
            if (average > 0)
                _state["average." + name] = value.detach().clone().DetachFromDisposeScope();
        }
    }

    /// <summary>The weights that are updated, by name.</summary>
    public IReadOnlyDictionary<string, Parameter> Parameters => _parameters.ToDictionary(p => p.Name, p => p.Value);

    /// <summary>One update from the parameters' gradients, which are cleared; a parameter without one stays as it is.</summary>
    /// <returns>Norm of the gradient before clipping.</returns>
    public double Step(double learningRate, double maxNorm)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Steps++;
        var gradients = _parameters.Select(p => p.Value.grad).ToArray();
        double norm = stack([.. gradients.OfType<Tensor>().Select(g => g.norm())]).norm().value();
        if (!double.IsFinite(norm))
        {
            Clear();
            return norm;
        }
        double clip = Math.Min(1, maxNorm / (norm + 1e-6));
        // The average begins as the weights and slows down to its decay: min(d, (1+t)/(10+t)).
        double decay = Math.Min(_average, (1.0 + Steps) / (10.0 + Steps));
        using Scalar one = 1L, beta1 = _beta1, beta2 = _beta2, rest1 = (1 - _beta1) * clip, rest2 = (1 - _beta2) * clip * clip, epsilon = 1e-8;
        using Scalar root = 1 / Math.Sqrt(1 - Math.Pow(_beta2, Steps)), step = -learningRate / (1 - Math.Pow(_beta1, Steps));
        using var toward = tensor((float)(1 - decay), device: _parameters[0].Value.device);
        for (int i = 0; i < _parameters.Length; i++)
        {
            if (gradients[i] is not { } g)
                continue;
            using var inner = NewDisposeScope();
            var (name, value) = _parameters[i];
            Tensor m = _state["m." + name], v = _state["v." + name];
            m.mul_(beta1).add_(g, rest1);
            v.mul_(beta2).addcmul_(g, g, rest2);
            value.addcdiv_(m, v.sqrt().mul_(root).add_(epsilon, one), step);
            if (_average > 0)
                _state["average." + name].lerp_(value, toward);
        }
        Clear();
        return norm;
    }

    /// <summary>Forgets all steps; the average starts from the weights as they are now.</summary>
    public void Restart()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, value) in _parameters)
        {
            _state["m." + name].zero_();
            _state["v." + name].zero_();
            if (_average > 0)
                _state["average." + name].copy_(value);
        }
        Steps = 0;
    }

    /// <summary>The state, for a checkpoint; the tensors stay the optimiser's.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _state;

    /// <summary>Restores a state.</summary>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long steps)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, tensor) in _state)
            tensor.copy_(state[name]);
        Steps = steps;
    }

    /// <summary>Puts the averaged weights into the parameters; the result puts the trained ones back.</summary>
    public IDisposable UseAverage()
    {
        if (_average == 0)
            return new Back([]);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var kept = _parameters.Select(p => (p.Value, Kept: p.Value.detach().clone().DetachFromDisposeScope())).ToArray();
        foreach (var (name, value) in _parameters)
            value.copy_(_state["average." + name]);
        return new Back(kept);
    }

    private sealed class Back((Parameter Value, Tensor Kept)[] kept) : IDisposable
    {
        public void Dispose()
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            foreach (var (value, copy) in kept)
            {
                value.copy_(copy);
                copy.Dispose();
            }
        }
    }

    private void Clear()
    {
        foreach (var (_, value) in _parameters)
            value.grad = null;
    }

    public void Dispose()
    {
        foreach (var tensor in _state.Values)
            tensor.Dispose();
    }
}
