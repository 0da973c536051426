using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;

namespace CaptionService.Api.Models;

/// <summary>
/// A model in memory. <see cref="ActiveModels"/>, every request that it is to answer and the worker while it runs hold it;
/// whoever lets go last frees its weights, so a swap takes nothing from a request in flight.
/// </summary>
public sealed class LoadedModel
{
    private readonly CaptionModel _captioner;
    private int _holders = 1;

    internal LoadedModel(CaptionModel captioner, ModelCard card)
    {
        _captioner = captioner;
        Card = card;
    }

    /// <summary>Which model, under the version that the registry gave it.</summary>
    public ModelCard Card { get; }

    /// <summary>What it sees with: the same object for models that may caption in one batch.</summary>
    public object Encoder => _captioner.Encoder;

    /// <summary>How its encoder runs here.</summary>
    public EncoderPrecision Precision => _captioner.Precision;

    /// <summary>What is wrong with the file that the encoder has for int8; null: nothing, or it has none.</summary>
    public string? WhyNotInt8 => _captioner.Encoder.WhyNotInt8;

    /// <summary>A photo for this model to caption; done on the worker's thread only.</summary>
    public CaptionJob Job(Photo photo, CaptionOptions options) => new(photo, options, _captioner);

    /// <summary>Keeps the weights until <see cref="Release"/>.</summary>
    /// <returns>False when they are gone already.</returns>
    public bool TryHold()
    {
        int holders = Volatile.Read(ref _holders);
        while (holders > 0)
        {
            int found = Interlocked.CompareExchange(ref _holders, holders + 1, holders);
            if (found == holders)
                return true;
            holders = found;
        }
        return false;
    }

    /// <summary>Lets go.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
            _captioner.Dispose();
    }
}

/// <summary>A request's hold on a model; dispose it when the request is answered.</summary>
public sealed class ModelHold(LoadedModel model) : IDisposable
{
    private int _released;

    /// <summary>The model.</summary>
    public LoadedModel Model { get; } = model;

    /// <inheritdoc />
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _released, 1) == 0)
            Model.Release();
    }
}
