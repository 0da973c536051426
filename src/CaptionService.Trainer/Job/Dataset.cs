using System.Security.Cryptography;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;

namespace CaptionService.Trainer.Job;

/// <summary>A data set that cannot be trained on; the message says what to mend.</summary>
public sealed class DatasetException(string message) : Exception(message);

/// <summary>One photo and its captions.</summary>
/// <param name="name">File name, as the caption file has it.</param>
/// <param name="path">Where the photo is.</param>
/// <param name="captions">Captions that people wrote, or a model where the source says so.</param>
public sealed class CaptionedPhoto(string name, string path, IReadOnlyList<string> captions)
{
    private readonly Lazy<string> _sha256 = new(() => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))));

    /// <summary>File name, as the caption file has it.</summary>
    public string Name { get; } = name;

    /// <summary>Where the photo is.</summary>
    public string Path { get; } = path;

    /// <summary>Captions that people wrote, or a model where the source says so.</summary>
    public IReadOnlyList<string> Captions { get; } = captions;

    /// <summary>SHA-256 of the photo's file, in hexadecimal; the file is read once.</summary>
    public string Sha256 => _sha256.Value;
}

/// <summary>One source of a data set: its place in the splits, and how its photos are drawn.</summary>
/// <param name="Name">Name in events and reports.</param>
/// <param name="Weight">How often each photo is drawn in an epoch.</param>
/// <param name="ModelWritten">Whether a model wrote the captions: they are learnt from in the first half of the epochs only, and nothing is judged by them.</param>
/// <param name="Train">Its photos to learn from: a part of <see cref="Dataset.Train"/>.</param>
/// <param name="Dev">Its photos to choose by: a part of <see cref="Dataset.Dev"/>.</param>
public sealed record Source(string Name, double Weight, bool ModelWritten, Range Train, Range Dev);

/// <summary>Photos with captions, from one source or several, split into training and development, and sometimes test.</summary>
public sealed class Dataset
{
    /// <summary>Where the photos come from, in the order of the splits.</summary>
    public required IReadOnlyList<Source> Sources { get; init; }

    /// <summary>Photos to learn from.</summary>
    public required IReadOnlyList<CaptionedPhoto> Train { get; init; }

    /// <summary>Photos to choose by.</summary>
    public required IReadOnlyList<CaptionedPhoto> Dev { get; init; }

    /// <summary>Training photos left out because another source has the same file among its development or test photos.</summary>
    public int Leaked { get; private init; }

    /// <summary>Photos of the test split that lies beside the training split; empty without one.</summary>
    public IReadOnlyList<CaptionedPhoto> Test { get; private init; } = [];

    /// <summary>The features that came instead of photos; null where there are photos.</summary>
    public string? FeaturesFile { get; private init; }

    /// <summary>Splits by name.</summary>
    /// <exception cref="DatasetException">There is no such split.</exception>
    public IReadOnlyList<CaptionedPhoto> Split(string name) => name switch
    {
        "train" => Train,
        "dev" => Dev,
        "test" when Test.Count > 0 => Test,
        _ => throw new DatasetException($"There is no split '{name}': {(Test.Count > 0 ? "train, dev or test" : "train or dev")}."),
    };

    /// <summary>The sources that have photos in a split; the test split counts as one source.</summary>
    public IEnumerable<(string Name, Range Rows)> SourcesOf(string split) => split == "test"
        ? [(split, ..)]
        : Sources.Select(source => (source.Name, Rows: split == "dev" ? source.Dev : source.Train)).Where(source => !source.Rows.Start.Equals(source.Rows.End));

    /// <summary>The captions of the training split, tokenised and joined by spaces: what a model may have learnt by heart.</summary>
    public HashSet<string> TrainCaptions(Tokenizer tokenizer) =>
        Train.SelectMany(p => p.Captions).Select(c => string.Join(' ', tokenizer.Tokenize(c))).ToHashSet();

    /// <summary>Reads a data set of one source or several; relative paths start at <paramref name="root"/>.</summary>
    /// <exception cref="DatasetException">A file is missing or a line is malformed, a split is empty, or the splits overlap.</exception>
    public static Dataset Load(IReadOnlyList<DataSource> sources, string root)
    {
        var read = sources.Select(source => (Paths: source, Data: Read(source, root))).ToArray();
        if (read.Length > 1 && Array.FindIndex(read, source => source.Data.FeaturesFile is not null) is >= 0 and int given)
            throw new DatasetException($"'{NameOf(given)}' comes with features instead of photos: such a data set is trained on alone.");
        int leaked = 0;
        if (read.Length > 1)
        {
            var judging = read.SelectMany(source => source.Data.Dev.Concat(source.Data.Test)).AsParallel().Select(photo => photo.Sha256).ToHashSet(StringComparer.Ordinal);
            for (int i = 0; i < read.Length; i++)
            {
                var train = read[i].Data.Train;
                CaptionedPhoto[] kept = [.. train.AsParallel().AsOrdered().Where(photo => !judging.Contains(photo.Sha256))];
                leaked += train.Length - kept.Length;
                read[i].Data = read[i].Data with { Train = kept };
            }
        }
        var placed = new List<Source>();
        int trained = 0, judged = 0;
        foreach (var (paths, data) in read)
        {
            placed.Add(new Source(NameOf(placed.Count), paths.Weight, paths.Trust == DataSource.ModelWritten,
                trained..(trained + data.Train.Length), judged..(judged + data.Dev.Length)));
            (trained, judged) = (trained + data.Train.Length, judged + data.Dev.Length);
        }
        return trained == 0 || judged == 0
            ? throw new DatasetException($"The data set has {trained} training and {judged} development photos with captions; both must have some.")
            : new Dataset
            {
                Sources = placed,
                Train = [.. read.SelectMany(source => source.Data.Train)],
                Dev = [.. read.SelectMany(source => source.Data.Dev)],
                Test = [.. read.SelectMany(source => source.Data.Test)],
                FeaturesFile = read[0].Data.FeaturesFile,
                Leaked = leaked,
            };

        string NameOf(int source) => sources[source].Name ?? $"source {source + 1}";
    }

    private sealed record Splits(CaptionedPhoto[] Train, CaptionedPhoto[] Dev, CaptionedPhoto[] Test, string? FeaturesFile);

    private static Splits Read(DataSource source, string root)
    {
        string file = Path.Combine(root, source.Captions), features = Path.Combine(Path.GetDirectoryName(file)!, DatasetFolder.Features);
        string test = Path.Combine(Path.GetDirectoryName(Path.Combine(root, source.Train))!, DatasetFolder.Test);
        bool precomputed = File.Exists(features), judges = source.Trust != DataSource.ModelWritten;
        var captions = ReadCaptions(file);

        CaptionedPhoto[] Listed(string listed) =>
        [
            .. ReadLines(Path.Combine(root, listed)).Select(n => n.Trim()).Where(n => n.Length > 0 && captions.ContainsKey(n))
                .Distinct(StringComparer.Ordinal)
                .Select(n => new CaptionedPhoto(n, Path.Combine(root, source.Photos, n), captions[n])),
        ];
        var splits = new Splits(Listed(source.Train), judges && source.Dev is { } dev ? Listed(dev) : [], judges && File.Exists(test) ? Listed(test) : [], precomputed ? features : null);
        var missing = precomputed ? [] : splits.Train.Concat(splits.Dev).Where(p => !File.Exists(p.Path)).Select(p => p.Name).ToArray();
        if (missing.Length > 0)
            throw new DatasetException($"{missing.Length} photos are missing, {string.Join(", ", missing.Take(5))} among them.");
        var both = splits.Train.Select(p => p.Name).Intersect(splits.Dev.Select(p => p.Name)).ToArray();
        if (both.Length > 0)
            throw new DatasetException($"{both.Length} {(both.Length == 1 ? "photo is" : "photos are")} in both splits, {string.Join(", ", both.Take(5))} among them: the scores would flatter.");
        return splits;
    }

    /// <summary>Reads a token file: captions by photo, both in the order of the file.</summary>
    /// <exception cref="DatasetException">The file is missing or a line is malformed.</exception>
    internal static Dictionary<string, List<string>> ReadCaptions(string file)
    {
        var captions = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        int number = 0;
        foreach (string line in ReadLines(file))
        {
            number++;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            int tab = line.IndexOf('\t', StringComparison.Ordinal), hash = line.LastIndexOf('#', Math.Max(tab, 0));
            if (tab < 0 || hash < 1)
                throw new DatasetException($"Line {number} of {Path.GetFileName(file)} is not 'photo#k<TAB>caption'.");
            string name = line[..hash], caption = line[(tab + 1)..].Trim();
            if (caption.Length == 0)
                continue;
            if (!captions.TryGetValue(name, out var list))
                captions[name] = list = [];
            list.Add(caption);
        }
        return captions;
    }

    internal static IEnumerable<string> ReadLines(string path) =>
        File.Exists(path) ? File.ReadLines(path) : throw new DatasetException($"'{path}' is missing.");
}
