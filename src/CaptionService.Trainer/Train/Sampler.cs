using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Train;

/// <summary>A caption drawn word by word.</summary>
/// <param name="Words">Ids, without start and end.</param>
/// <param name="Ended">Whether the end was drawn; if not, it was cut at the greatest length.</param>
internal readonly record struct SampledCaption(int[] Words, bool Ended);

/// <summary>
/// Draws captions, each word from the most probable ones (Fan et al. 2018): the long tail of a label-smoothed
/// distribution is a tenth of every step's mass, and all of it is noise.
/// </summary>
internal static class Sampler
{
    /// <param name="decoder">Ready for search.</param>
    /// <param name="features">Of N photos.</param>
    /// <param name="samples">Captions of each.</param>
    /// <param name="top">Words to draw from.</param>
    /// <param name="maxLength">Longest caption in words.</param>
    /// <returns>For each photo its captions, drawn from torch's generator.</returns>
    public static SampledCaption[][] Draw(FrozenDecoder decoder, Tensor features, int samples, int top, int maxLength)
    {
        int n = (int)features.shape[0];
        var words = Enumerable.Range(0, n).Select(_ => Enumerable.Range(0, samples).Select(_ => new List<int>()).ToArray()).ToArray();
        var ended = Enumerable.Range(0, n).Select(_ => new bool[samples]).ToArray();
        int[] alive = [.. Enumerable.Range(0, n)];
        long[] last = [.. alive.Select(_ => (long)Vocabulary.Start)], parents = [], remaining = [];
        using Scalar never = float.NegativeInfinity;
        using var noGrad = no_grad();
        using var state = decoder.Start(features);
        for (int length = 0; length < maxLength && alive.Length > 0; length++)
        {
            using var scope = NewDisposeScope();
            int beams = length == 0 ? 1 : samples;
            var logP = state.Step(
                tensor(last, [alive.Length, beams], device: features.device),
                remaining.Length == 0 ? null : tensor(remaining, device: features.device),
                length == 0 ? null : tensor(parents, [alive.Length, beams], device: features.device));           // (n, b, V)
            long[] impossible = length == 0 ? [Vocabulary.Pad, Vocabulary.Start, Vocabulary.Unknown, Vocabulary.End] : [Vocabulary.Pad, Vocabulary.Start, Vocabulary.Unknown];
            var (values, ids) = logP.view(alive.Length * beams, -1)
                .index_fill(1, tensor(impossible, device: features.device), never)
                .topk((int)Math.Min(top, logP.shape[2] - impossible.Length), 1);                                  // (n·b, top)
            // All captions of a photo draw their first word from one row; of no numbers nothing can be drawn, and the loss will tell.
            var choice = values.softmax(-1).nan_to_num(1).multinomial(length == 0 ? samples : 1, replacement: true);
            long[] drawn = ids.gather(1, choice).cpu().data<long>().ToArray();                                    // n · samples

            var stay = new List<int>(alive.Length);
            for (int i = 0; i < alive.Length; i++)
            {
                for (int k = 0; k < samples; k++)
                {
                    if (ended[alive[i]][k])
                        continue;
                    int word = (int)drawn[i * samples + k];
                    if (word == Vocabulary.End)
                        ended[alive[i]][k] = true;
                    else
                        words[alive[i]][k].Add(word);
                }
                if (!ended[alive[i]].All(e => e))
                    stay.Add(i);
            }
            last = [.. stay.SelectMany(i => drawn.Skip(i * samples).Take(samples))];
            // The first step had one row a photo; from then on each caption continues itself.
            parents = [.. stay.SelectMany(_ => Enumerable.Range(0, samples).Select(k => length == 0 ? 0L : k))];
            remaining = [.. stay.Select(i => (long)i)];
            alive = [.. stay.Select(i => alive[i])];
        }
        return [.. words.Select((captions, photo) => captions.Select((c, k) => new SampledCaption([.. c], ended[photo][k])).ToArray())];
    }
}
