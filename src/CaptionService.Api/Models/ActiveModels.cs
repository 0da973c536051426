using CaptionService.Captioning;

namespace CaptionService.Api.Models;

/// <summary>Which models are loaded and warmed up. Written by the worker, read by requests.</summary>
public sealed class ActiveModels
{
    private volatile ModelCard[] _all = [];

    /// <summary>All, the default first. Empty until the first is ready.</summary>
    public IReadOnlyList<ModelCard> All => _all;

    /// <summary>The model of a name, or null.</summary>
    public ModelCard? Find(string name) => _all.FirstOrDefault(card => card.Name == name);

    internal void Activate(ModelCard card) => _all = [card];
}
