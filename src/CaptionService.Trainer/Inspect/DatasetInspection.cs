using System.Security.Cryptography;
using System.Text.Json;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer.Inspect;

/// <summary>
/// The <c>inspect</c> verb: checks a canonical data set before anything is trained on it. Photos from
/// strangers are decoded here, in a process of their own. It may be run again.
/// </summary>
internal sealed class DatasetInspection(string folder, DatasetImport import, bool estimate, Progress progress, CancellationToken stop)
{
    private const int FewPhotos = 100;      // a decoder learns hardly anything from fewer
    private const int Seed = 1;             // of splits that are made here

    private readonly List<DatasetFinding> _findings = [.. import.Findings];
    private readonly Tokenizer _tokenizer = Tokenizer.For(import.Language);

    public static int Run(string folder, string? language, bool estimate, Progress progress, CancellationToken stop)
    {
        string file = Path.Combine(folder, DatasetFolder.Import);
        var import = File.Exists(file)
            ? JsonSerializer.Deserialize<DatasetImport>(File.ReadAllBytes(file), TrainingEvent.Json)!
            : new DatasetImport("flickr", language ?? "en", 0, 0, "data", []);
        var report = new DatasetInspection(folder, language is null ? import : import with { Language = language }, estimate, progress, stop).Report();
        Write(Path.Combine(folder, DatasetFolder.Report), JsonSerializer.SerializeToUtf8Bytes(report, TrainingEvent.Json));
        progress.Say(report.Summary);
        return TrainerExit.Succeeded;
    }

    public DatasetReport Report()
    {
        // 1. What the folder says. Photos left out by an earlier look are training photos again.
        var captions = Dataset.ReadCaptions(Path.Combine(folder, DatasetFolder.Captions));
        List<string> train = [.. Names(DatasetFolder.Train, required: true).Concat(Names(DatasetFolder.LeftOut)).Where(captions.ContainsKey).Distinct()];
        List<string> dev = [.. Names(DatasetFolder.Dev).Where(captions.ContainsKey)], test = [.. Names(DatasetFolder.Test).Where(captions.ContainsKey)];
        string[] all = [.. train.Concat(dev).Concat(test).Distinct()];
        bool precomputed = File.Exists(Path.Combine(folder, DatasetFolder.Features));

        // 2. Photos: broken ones leave their split.
        var looks = precomputed ? [] : Check(all);
        var broken = looks.Where(l => l.Rejection is not null).ToDictionary(l => l.Name, l => l.Rejection!);
        if (broken.Count > 0)
        {
            _findings.Add(new DatasetFinding("broken_photos", FindingSeverity.Warning, broken.Count,
                [.. broken.Take(DatasetFinding.MaxExamples).Select(b => $"{b.Key}: {b.Value}")],
                $"{Count(broken.Count, "photo")} cannot be decoded and {(broken.Count == 1 ? "is" : "are")} left out. Open and save {(broken.Count == 1 ? "it" : "them")} anew, and send the data set again."));
        }
        if (precomputed)
            CheckFeatures(all);
        train.RemoveAll(broken.ContainsKey);
        dev.RemoveAll(broken.ContainsKey);
        test.RemoveAll(broken.ContainsKey);
        string[] usable = [.. all.Where(n => !broken.ContainsKey(n))];

        // 3. Duplicates: what dev or test shows is not learnt.
        var leftOut = MoveLeaks([.. looks.Where(l => l.Rejection is null)], train, dev, test);
        if (dev.Count == 0 && train.Count >= 2)
            MakeDev(train, dev);
        if (usable.Length == 0)
            _findings.Add(new DatasetFinding("no_photos", FindingSeverity.Error, 0, [], "No photo with a caption can be used."));
        else if (train.Count == 0 || dev.Count == 0)
            _findings.Add(new DatasetFinding("empty_split", FindingSeverity.Error, 1, [train.Count == 0 ? "train" : "dev"],
                $"{train.Count} photos are left to train and {dev.Count} to choose by; both must have some. At least 2 different photos are needed."));
        else if (train.Count < FewPhotos)
            _findings.Add(new DatasetFinding("few_photos", FindingSeverity.Warning, train.Count, [],
                $"Only {Count(train.Count, "photo")} to train on: a model learns these by heart and little else. Some thousand are better."));

        // 4. Captions.
        var words = new CaptionFindings(_tokenizer, import.Language, _findings);
        var (reportedCaptions, reportedWords) = words.Look(captions, usable, train, import.CaptionLines);

        // 5. How long it will take.
        var minutes = estimate && !stop.IsCancellationRequested && train.Count > 0 && dev.Count > 0 && reportedWords.Learnable > 0
            ? TrainingEstimate.Measure(folder, precomputed, train, dev.Count, captions, _tokenizer, progress)
            : null;

        Write(Path.Combine(folder, DatasetFolder.LeftOut), Lines(leftOut.Concat(broken.Keys)));        // first: see 1.
        Write(Path.Combine(folder, DatasetFolder.Train), Lines(train));
        Write(Path.Combine(folder, DatasetFolder.Dev), Lines(dev));
        if (test.Count > 0 || File.Exists(Path.Combine(folder, DatasetFolder.Test)))
            Write(Path.Combine(folder, DatasetFolder.Test), Lines(test));

        stop.ThrowIfCancellationRequested();
        var verdict = _findings.Select(f => f.Severity).DefaultIfEmpty(FindingSeverity.Info).Max();
        return new DatasetReport
        {
            Verdict = verdict,
            Summary = Summary(verdict, train.Count, dev.Count, reportedCaptions.Usable, minutes),
            Format = import.Format,
            Language = import.Language,
            Photos = new ReportedPhotos(Math.Max(import.PhotoFiles, precomputed ? 0 : all.Length), all.Length, usable.Length, broken.Count, precomputed),
            Captions = reportedCaptions,
            Splits = new ReportedSplits(import.SplitsFrom, train.Count, dev.Count, test.Count, leftOut.Count),
            Words = reportedWords,
            Estimate = minutes,
            Findings = [.. _findings.OrderByDescending(f => f.Severity)],
        };
    }

    private sealed record CheckedPhoto(string Name, string? Rejection, Fingerprint? Fingerprint, string Digest);

    private CheckedPhoto[] Check(string[] names)
    {
        var photos = new CheckedPhoto[names.Length];
        progress.Begin("photos", names.Length);
        Parallel.For(0, names.Length, new ParallelOptions { CancellationToken = stop, MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            photos[i] = Check(names[i]);
            lock (progress)
                progress.Advance(1);
        });
        return photos;
    }

    private CheckedPhoto Check(string name)
    {
        try
        {
            var file = new FileInfo(Path.Combine(folder, DatasetFolder.Photos, name));
            if (!file.Exists)
                return new CheckedPhoto(name, "The file is missing.", null, "");
            if (file.Length > PhotoLimits.MaxBytes)
                return new CheckedPhoto(name, $"The photo has {file.Length} bytes; at most {PhotoLimits.MaxBytes} are accepted.", null, "");
            byte[] bytes = File.ReadAllBytes(file.FullName);
            return new CheckedPhoto(name, null, new Fingerprint(Photo.Decode(bytes)), Convert.ToHexString(SHA256.HashData(bytes)));
        }
        catch (PhotoRejectedException rejected)
        {
            return new CheckedPhoto(name, rejected.Message, null, "");
        }
    }

    private List<string> MoveLeaks(CheckedPhoto[] seen, List<string> train, List<string> dev, List<string> test)
    {
        var byDigest = seen.GroupBy(s => s.Digest).Select(g => g.Select(s => s.Name).ToArray()).ToArray();      // as in seen
        var identical = byDigest.Where(g => g.Length > 1).ToArray();
        var alike = NearDuplicates.Groups([.. seen.DistinctBy(s => s.Digest).Select(s => s.Fingerprint!)]);
        if (identical.Length > 0)
        {
            _findings.Add(DatasetFinding.Of("exact_duplicates", FindingSeverity.Warning, [.. identical.Select(g => string.Join(" = ", g.Take(4)))],
                $"{Count(identical.Length, "photo")} came more than once, byte for byte, under different names. Keep one of each, with all its captions."));
        }
        if (alike.Count > 0)
        {
            string[] pairs = [.. alike.SelectMany(g => g.Skip(1).Select(m => $"{byDigest[g[0].Photo][0]} ~ {byDigest[m.Photo][0]}{(m.Mirrored ? " (mirrored)" : "")}"))];
            _findings.Add(DatasetFinding.Of("near_duplicates", FindingSeverity.Warning, pairs,
                $"{Count(pairs.Length, "photo")} {(pairs.Length == 1 ? "looks" : "look")} the same as another: saved again, scaled or mirrored. Keep one of each, with all its captions."));
        }

        // A training photo that equals, or looks like, one of dev or test would flatter the scores.
        HashSet<string> held = [.. dev, .. test];
        var leaks = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string[] group in identical.Concat(alike.Select(g => g.SelectMany(m => byDigest[m.Photo]).ToArray())))
            if (group.FirstOrDefault(held.Contains) is { } shown)
                foreach (string name in group.Where(n => !held.Contains(n)))
                    leaks.TryAdd(name, shown);
        foreach (string name in train.Where(held.Contains))
            leaks[name] = name;
        List<string> leftOut = [.. train.Where(leaks.ContainsKey)];
        train.RemoveAll(leaks.ContainsKey);
        if (leftOut.Count > 0)
        {
            _findings.Add(DatasetFinding.Of("leaked_photos", FindingSeverity.Warning, [.. leftOut.Select(n => $"{n} ~ {leaks[n]}")],
                $"{Count(leftOut.Count, "training photo")} {(leftOut.Count == 1 ? "is" : "are")} also in dev or test, or nearly so: moved out of training, so that the scores tell the truth."));
        }
        return leftOut;
    }

    private void MakeDev(List<string> train, List<string> dev)
    {
        string[] order = [.. train.Order(StringComparer.Ordinal)];
        new Random(Seed).Shuffle(order);
        dev.AddRange(order.Take(Math.Max(1, order.Length / 10)).Order(StringComparer.Ordinal));
        train.RemoveAll(dev.Contains);
        _findings.Add(new DatasetFinding("dev_made", FindingSeverity.Info, dev.Count, [],
            $"No photo to choose by came along or was left: {Count(dev.Count, "photo")} of the training split, drawn by chance, {(dev.Count == 1 ? "serves" : "serve")} as dev."));
    }

    private void CheckFeatures(string[] names)
    {
        try
        {
            using var features = PrecomputedFeatures.Open(Path.Combine(folder, DatasetFolder.Features), [.. names.Select(n => new CaptionedPhoto(n, "", []))]);
            var unsound = new List<string>();
            progress.Begin("features", names.Length);
            foreach (int[] rows in Enumerable.Range(0, names.Length).Chunk(256))
            {
                stop.ThrowIfCancellationRequested();
                using var values = features.Rows(rows);
                using var finite = values.isfinite();
                using var whole = finite.all(1);
                bool[] sound = whole.data<bool>().ToArray();
                unsound.AddRange(rows.Where((_, i) => !sound[i]).Select(r => names[r]));
                progress.Advance(rows.Length);
            }
            if (unsound.Count > 0)
                _findings.Add(DatasetFinding.Of("broken_features", FindingSeverity.Error, unsound, $"The features of {Count(unsound.Count, "photo")} hold values that are not numbers."));
        }
        catch (DatasetException e)
        {
            _findings.Add(new DatasetFinding("broken_features", FindingSeverity.Error, 1, [], e.Message));
        }
    }

    private IEnumerable<string> Names(string file, bool required = false)
    {
        string path = Path.Combine(folder, file);
        return required || File.Exists(path) ? Dataset.ReadLines(path).Select(n => n.Trim()).Where(n => n.Length > 0) : [];
    }

    private string Summary(FindingSeverity verdict, int train, int dev, int captions, ReportedEstimate? minutes)
    {
        int errors = _findings.Count(f => f.Severity == FindingSeverity.Error), warnings = _findings.Count(f => f.Severity == FindingSeverity.Warning);
        string what = verdict switch
        {
            FindingSeverity.Error => $"Not ready: {Count(errors, "error")} must be mended first",
            FindingSeverity.Warning => $"Ready, with {Count(warnings, "warning")}",
            _ => "Ready",
        };
        string time = minutes is null ? "" : $"; about {Math.Max(1, Math.Ceiling(minutes.TotalMinutes)):F0} min of training on this machine";
        return $"{what}: {Count(train, "photo")} to train on, {dev} to choose by, {Count(captions, "caption")}{time}.";
    }

    internal static string Count(int count, string what) => $"{count} {what}{(count == 1 ? "" : "s")}";

    private static byte[] Lines(IEnumerable<string> names) => System.Text.Encoding.UTF8.GetBytes(string.Concat(names.Select(n => n + "\n")));

    // Under a name of its own a temporary file that a killed process left is written over by the next.
    private static void Write(string path, byte[] bytes) => Durable.Replace(path, bytes, path + ".tmp");
}
