using CaptionService.Captioning.Files;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Encoders;

/// <summary>
/// What a model has learnt of the encoder: a low-rank change of the weights of <see cref="Conv5"/> (LoRA, Hu et al. 2021,
/// arXiv:2106.09685): to each 3×3 convolution W it adds 16 B·A, where A has <see cref="Rank"/> 3×3 filters and B mixes them.
/// At rank 16 a sixtieth of the encoder, so that it overfits few photos less than all weights would and travels with a model.
/// State-dict names are those of PEFT on torchvision's VGG-16: <c>features.24.lora_A.weight</c> (r, 512, 3, 3),
/// <c>features.24.lora_B.weight</c> (512, r, 1, 1).
/// </summary>
public sealed class EncoderAdapter : nn.Module
{
    /// <summary>
    /// Factor before B·A (PEFT's lora_alpha is this times the rank): B moves as much faster than A, without which the change
    /// stays within some percent of the weights at the learning rates that suit a decoder (Hayou et al. 2024, LoRA+, arXiv:2402.12354).
    /// </summary>
    public const float Scale = 16;

    /// <summary>Largest <see cref="Rank"/>.</summary>
    public const int MaxRank = 256;

    internal readonly ModuleDict<LowRank> features;         // the name is the state dict's

    /// <summary>Filters of each change.</summary>
    public int Rank { get; }

    /// <summary>One that changes nothing yet: A is drawn from torch's generator, B is 0.</summary>
    /// <param name="rank">1 to <see cref="MaxRank"/>.</param>
    public EncoderAdapter(int rank) : base(nameof(EncoderAdapter))
    {
        Rank = rank;
        features = nn.ModuleDict([.. Conv5.Indices.Select(index => (index.ToString(), new LowRank(rank)))]);
        RegisterComponents();
    }

    /// <summary>Reads one.</summary>
    /// <param name="path">A safetensors file.</param>
    /// <exception cref="SafetensorsException">The file is none.</exception>
    /// <exception cref="ModelBundleException">A name or shape does not fit.</exception>
    public static EncoderAdapter Load(string path)
    {
        using var scope = NewDisposeScope();
        var weights = Safetensors.Load(path);
        string first = $"features.{Conv5.Indices[0]}.lora_A.weight";
        if (!weights.TryGetValue(first, out var a) || a.dim() != 4 || a.shape[0] is < 1 or > MaxRank)
            throw new ModelBundleException($"{Path.GetFileName(path)} must have a tensor '{first}' of shape [rank, {Vgg16.Channels}, 3, 3], rank 1 to {MaxRank}.");
        var adapter = new EncoderAdapter((int)a.shape[0]);
        foreach (var parameter in adapter.parameters())
            parameter.DetachFromDisposeScope();
        try
        {
            StateDict.Fill(adapter, weights, Path.GetFileName(path), "an encoder adapter");
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
        return adapter;
    }

    /// <summary>The two factors of one of the changes, as they are learnt: A (r, 512, 3, 3), B (512, r, 1, 1).</summary>
    /// <param name="index">torchvision's number: 24, 26 or 28.</param>
    public (Parameter A, Parameter B) Factors(int index) => (features[index.ToString()].lora_A.weight!, features[index.ToString()].lora_B.weight!);

    /// <summary>What is added to the weight of one of the convolutions: (512, 512, 3, 3) float32.</summary>
    /// <param name="index">torchvision's number: 24, 26 or 28.</param>
    public Tensor Change(int index)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var (a, b) = Factors(index);
        using Scalar scale = Scale;
        return b.view(Vgg16.Channels, Rank).mm(a.view(Rank, -1)).mul_(scale).view(Vgg16.Channels, Vgg16.Channels, 3, 3).MoveToOuterDisposeScope();
    }

    internal sealed class LowRank : nn.Module
    {
        public readonly Conv2d lora_A, lora_B;

        internal LowRank(int rank) : base(nameof(LowRank))
        {
            lora_A = nn.Conv2d(Vgg16.Channels, rank, 3, padding: 1, bias: false);
            lora_B = nn.Conv2d(rank, Vgg16.Channels, 1, bias: false);
            nn.init.zeros_(lora_B.weight!);
            RegisterComponents();
        }
    }
}
