using System.Diagnostics;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace CaptionService.Captioning;

/// <summary>One photo for one model to caption; a <see cref="Photo"/> that is in several jobs goes through the encoder once.</summary>
public readonly record struct CaptionJob(Photo Photo, CaptionOptions Options, CaptionModel Model);

/// <summary>The captions of a batch and what they cost.</summary>
/// <param name="Photos">One ranked list for each photo, or each job, in their order.</param>
/// <param name="Encoded">Photos that went through the encoder.</param>
/// <param name="Encode">Time in the encoder, for the whole batch.</param>
/// <param name="Decode">Time in the decoder and search, for the whole batch.</param>
public sealed record CaptionedBatch(IReadOnlyList<IReadOnlyList<Caption>> Photos, int Encoded, TimeSpan Encode, TimeSpan Decode);

/// <summary>Plans batches over several models, so that no part of the work is done twice.</summary>
public static class Captioner
{
    /// <summary>Captions a batch with several models that share an encoder: one encoder pass for all photos, one search for each model and
    /// equal options.</summary>
    /// <param name="jobs">The photos, each with its model.</param>
    /// <param name="between">Called after each convolution and before each word, on this thread; may caption others meanwhile, with the same
    /// models too, whose time then counts in this batch's. null: nothing.</param>
    /// <returns>As many lists as jobs, in their order.</returns>
    /// <exception cref="ArgumentException">The models have different encoders.</exception>
    public static CaptionedBatch Caption(IReadOnlyList<CaptionJob> jobs, Action? between = null)
    {
        if (jobs.Count == 0)
            return new CaptionedBatch([], 0, TimeSpan.Zero, TimeSpan.Zero);
        var (encoder, device) = (jobs[0].Model.Encoder, TorchRuntime.Device);
        Action<Tensor>? layerDone = between is null ? null : _ => between();
        if (jobs.Any(job => job.Model.Encoder != encoder))
            throw new ArgumentException("The models have different encoders.", nameof(jobs));
        using var scope = NewDisposeScope();
        using var inference = inference_mode();

        long start = Stopwatch.GetTimestamp();
        var photos = new List<Photo>();
        var rows = new Dictionary<Photo, int>(ReferenceEqualityComparer.Instance);
        foreach (var job in jobs)
        {
            if (rows.TryAdd(job.Photo, photos.Count))
                photos.Add(job.Photo);
        }
        Tensor pool4;                                                                       // (N, 196, 512)
        TimeSpan encode;
        using (CaptionTrace.Source.StartActivity(CaptionTrace.Encode))
        {
            pool4 = encoder.Pool4(Vgg16.Pixels(photos), layerDone);
            encode = Elapsed(start);
        }

        var decode = TimeSpan.Zero;
        var results = new IReadOnlyList<Caption>[jobs.Count];
        // After pool4, each block that differs runs over the photos of its own models only.
        foreach (var alike in Enumerable.Range(0, jobs.Count).GroupBy(i => (jobs[i].Model.Conv5, jobs[i].Model.Card.Decoder.SingleVector)))
        {
            start = Stopwatch.GetTimestamp();
            int[] own = [.. alike.Select(i => rows[jobs[i].Photo]).Distinct()];
            using var features = Features(alike.Key.Conv5, alike.Key.SingleVector, own);

            using var searching = CaptionTrace.Source.StartActivity(CaptionTrace.Search);
            start = Stopwatch.GetTimestamp();
            foreach (var group in alike.GroupBy(i => (jobs[i].Model, jobs[i].Options)))
            {
                int[] members = [.. group];
                using var wanted = Rows(features, [.. members.Select(i => Array.IndexOf(own, rows[jobs[i].Photo]))]);
                var captions = group.Key.Model.Describe(wanted, group.Key.Options, between);
                for (int i = 0; i < members.Length; i++)
                    results[members[i]] = captions[i];
            }
            decode += Elapsed(start);
        }
        return new CaptionedBatch(results, photos.Count, encode, decode);

        Tensor Features(Conv5 block, bool singleVector, int[] own)                          // (n, 196, 512) or (n, 4096)
        {
            using var encoding = CaptionTrace.Source.StartActivity(CaptionTrace.Encode);
            using var input = Rows(pool4, own);
            using var regions = block.Forward(input, layerDone);                                       // (n, 196, 512)
            var features = singleVector ? encoder.Fc7(regions) : regions.alias();
            encode += Elapsed(start);
            return features;
        }

        TimeSpan Elapsed(long since)
        {
            if (device.type == DeviceType.CUDA)
                cuda.synchronize();
            return Stopwatch.GetElapsedTime(since);
        }

        Tensor Rows(Tensor all, int[] some) => some.SequenceEqual(Enumerable.Range(0, (int)all.shape[0]))
            ? all.alias()
            : all.index_select(0, tensor(Array.ConvertAll(some, row => (long)row), ScalarType.Int64, device));
    }
}
