using System.Security.Cryptography;
using CaptionService.Api.Models;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Captions;

/// <summary>
/// The captions of photos that were captioned before, in memory that is bounded (<see cref="CaptioningOptions.CacheMegabytes"/>).
/// No photo is kept, only the digest of its pixels. The digest of the model is part of the key, so a swap makes nothing stale.
/// </summary>
public sealed class CaptionCache(IOptions<CaptioningOptions> options, CaptionMetrics metrics) : IDisposable
{
    /// <summary>Name and values of the header by RFC 9211: all photos of an answer were remembered, none, some.</summary>
    public const string Header = "Cache-Status", Hit = "CaptionService; hit", Miss = "CaptionService; fwd=miss; stored",
        Part = "CaptionService; fwd=miss; stored; detail=partial";

    private readonly MemoryCache? _answers = options.Value.CacheMegabytes == 0 ? null
        : new(new MemoryCacheOptions { SizeLimit = (long)options.Value.CacheMegabytes << 20 });

    /// <summary>Whether anything is kept.</summary>
    public bool Enabled => _answers is not null;

    /// <summary>What a photo is known by.</summary>
    public static string KeyOf(Photo photo) => Convert.ToHexString(SHA256.HashData(photo.Pixels.Span));

    /// <summary>Takes what is known of a photo.</summary>
    /// <param name="photo"><see cref="KeyOf"/>.</param>
    /// <param name="search">How it was captioned.</param>
    /// <param name="models">By which models.</param>
    /// <returns>null unless it was captioned before by all of these models, with the same options.</returns>
    public CaptionAnswer? Find(string photo, CaptionOptions search, IReadOnlyList<LoadedModel> models)
    {
        var found = new IReadOnlyList<Caption>[models.Count];
        for (int i = 0; i < models.Count; i++)
        {
            if (_answers?.TryGetValue(new Key(photo, search, models[i].Card.Digest), out IReadOnlyList<Caption>? captions) != true)
                return null;
            found[i] = captions!;
        }
        metrics.Remembered();
        return new CaptionAnswer(found, TimeSpan.Zero, []);
    }

    /// <summary>Keeps the captions of a photo.</summary>
    /// <inheritdoc cref="Find"/>
    /// <param name="photo"/>
    /// <param name="search"/>
    /// <param name="models"/>
    /// <param name="answer">The captions.</param>
    public void Add(string photo, CaptionOptions search, IReadOnlyList<LoadedModel> models, CaptionAnswer answer)
    {
        for (int i = 0; i < models.Count; i++)
        {
            var entry = new MemoryCacheEntryOptions { Size = Bytes(answer.Captions[i]) };
            _answers?.Set(new Key(photo, search, models[i].Card.Digest), answer.Captions[i], entry);
        }
    }

    // Nearly: with the objects' heads and the entry's own.
    private static long Bytes(IReadOnlyList<Caption> captions) => 800 + captions.Sum(caption =>
        120 + 2 * caption.Text.Length + caption.Words.Sum(word => 80L + 2 * word.Text.Length + 4 * (word.Attention?.Length ?? 0)));

    /// <inheritdoc/>
    public void Dispose() => _answers?.Dispose();

    private sealed record Key(string Photo, CaptionOptions Search, string Model);
}
