using static TorchSharp.torch;

namespace CaptionService.Captioning.Files;

/// <summary>A module's weights to and from safetensors, by the names of its state dict.</summary>
public static class StateDict
{
    /// <summary>What every file of weights says of itself, as PyTorch writes it.</summary>
    internal static IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string> { ["format"] = "pt" };

    /// <summary>Copies weights into a module, which must have exactly these names and shapes.</summary>
    /// <param name="module">What they are for.</param>
    /// <param name="weights">By name.</param>
    /// <param name="file">Where they come from, for messages.</param>
    /// <param name="what">What the module is, for messages.</param>
    /// <exception cref="ModelBundleException">A name or shape does not fit.</exception>
    public static void Fill(nn.Module module, IReadOnlyDictionary<string, Tensor> weights, string file, string what)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var state = module.state_dict();
        string[] difference = [.. state.Keys.Except(weights.Keys).Select(k => k + " is missing"), .. weights.Keys.Except(state.Keys).Select(k => k + " is unknown")];
        if (difference.Length > 0)
            throw new ModelBundleException($"{file} does not fit {what}: {string.Join(", ", difference)}.");
        foreach (var (name, parameter) in state)
        {
            if (!parameter.shape.AsSpan().SequenceEqual(weights[name].shape))
                throw new ModelBundleException($"'{name}' in {file} has shape [{string.Join(", ", weights[name].shape)}], expected [{string.Join(", ", parameter.shape)}].");
            parameter.copy_(weights[name]);
        }
    }

    /// <summary>Writes a module's weights in fp16.</summary>
    internal static void Save(nn.Module module, string path)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Safetensors.Save(path, module.state_dict().ToDictionary(p => p.Key, p => p.Value.cpu().to(ScalarType.Float16)), Metadata);
    }
}
