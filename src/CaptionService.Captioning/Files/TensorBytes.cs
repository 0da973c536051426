using static TorchSharp.torch;

namespace CaptionService.Captioning.Files;

/// <summary>Moves a tensor's elements to and from a stream as they lie in memory: C order, little-endian, no conversion.</summary>
internal static class TensorBytes
{
    // A span holds at most 2 GiB and features can be larger. 16 M elements are 16 to 128 MiB.
    private const long ChunkElements = 1 << 24;

    /// <summary>Fills a contiguous CPU tensor with the stream's next bytes.</summary>
    /// <exception cref="EndOfStreamException">The stream ended first.</exception>
    public static void Read(Stream source, Tensor target)
    {
        using var scope = NewDisposeScope();
        Tensor flat = target.view(-1);
        for (long start = 0; start < flat.numel(); start += ChunkElements)
            source.ReadExactly(flat.narrow(0, start, Math.Min(ChunkElements, flat.numel() - start)).bytes);
    }

    /// <summary>Writes a tensor of any device and layout. A tensor on a GPU crosses in chunks, so no second copy of it is held.</summary>
    public static void Write(Stream target, Tensor source)
    {
        using var scope = NewDisposeScope();
        Tensor flat = source.detach().contiguous().view(-1);
        for (long start = 0; start < flat.numel(); start += ChunkElements)
        {
            using var chunk = NewDisposeScope();
            target.Write(flat.narrow(0, start, Math.Min(ChunkElements, flat.numel() - start)).cpu().bytes);
        }
    }
}
