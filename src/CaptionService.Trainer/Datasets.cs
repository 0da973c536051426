using CaptionService.Captioning;
using CaptionService.Captioning.Training;

namespace CaptionService.Trainer;

/// <summary>A data set that cannot be trained on; the message says what to mend.</summary>
public sealed class DatasetException(string message) : Exception(message);

/// <summary>One photo and its captions.</summary>
/// <param name="Name">File name, as the caption file has it.</param>
/// <param name="Path">Where the photo is.</param>
/// <param name="Captions">As written by people.</param>
public sealed record CaptionedPhoto(string Name, string Path, IReadOnlyList<string> Captions);

/// <summary>Photos with captions, split into training and development, and sometimes test.</summary>
public sealed class Dataset
{
    /// <summary>Photos to learn from.</summary>
    public required IReadOnlyList<CaptionedPhoto> Train { get; init; }

    /// <summary>Photos to choose by.</summary>
    public required IReadOnlyList<CaptionedPhoto> Dev { get; init; }

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

    /// <summary>The captions of the training split, tokenised and joined by spaces: what a model may have learnt by heart.</summary>
    public HashSet<string> TrainCaptions(Tokenizer tokenizer) =>
        Train.SelectMany(p => p.Captions).Select(c => string.Join(' ', tokenizer.Tokenize(c))).ToHashSet();

    /// <summary>Reads a Flickr-style data set; relative paths start at <paramref name="root"/>.</summary>
    /// <exception cref="DatasetException">A file is missing or a line is malformed, a split is empty, or the splits overlap.</exception>
    public static Dataset Load(DatasetPaths paths, string root)
    {
        string file = Path.Combine(root, paths.Captions), features = Path.Combine(Path.GetDirectoryName(file)!, DatasetFolder.Features);
        string test = Path.Combine(Path.GetDirectoryName(Path.Combine(root, paths.Train))!, DatasetFolder.Test);
        bool precomputed = File.Exists(features);
        var captions = ReadCaptions(file);

        IReadOnlyList<CaptionedPhoto> Read(string listed) =>
        [
            .. ReadLines(Path.Combine(root, listed)).Select(n => n.Trim()).Where(n => n.Length > 0 && captions.ContainsKey(n))
                .Distinct(StringComparer.Ordinal)
                .Select(n => new CaptionedPhoto(n, Path.Combine(root, paths.Photos, n), captions[n])),
        ];
        var dataset = new Dataset { Train = Read(paths.Train), Dev = Read(paths.Dev), Test = File.Exists(test) ? Read(test) : [], FeaturesFile = precomputed ? features : null };
        if (dataset.Train.Count == 0 || dataset.Dev.Count == 0)
            throw new DatasetException($"The data set has {dataset.Train.Count} training and {dataset.Dev.Count} development photos with captions; both must have some.");
        var missing = precomputed ? [] : dataset.Train.Concat(dataset.Dev).Where(p => !File.Exists(p.Path)).Select(p => p.Name).ToArray();
        if (missing.Length > 0)
            throw new DatasetException($"{missing.Length} photos are missing, {string.Join(", ", missing.Take(5))} among them.");
        var both = dataset.Train.Select(p => p.Name).Intersect(dataset.Dev.Select(p => p.Name)).ToArray();
        if (both.Length > 0)
            throw new DatasetException($"{both.Length} photos are in both splits, {string.Join(", ", both.Take(5))} among them: the scores would flatter.");
        return dataset;
    }

    /// <summary>The same photos with the captions of another file; those it has none for are left out.</summary>
    /// <exception cref="DatasetException">The file is missing or a line is malformed, or a split has no photo in it.</exception>
    public Dataset WithCaptions(string file)
    {
        var captions = ReadCaptions(file);
        IReadOnlyList<CaptionedPhoto> Of(IReadOnlyList<CaptionedPhoto> photos) =>
            [.. photos.Where(p => captions.ContainsKey(p.Name)).Select(p => p with { Captions = captions[p.Name] })];
        var dataset = new Dataset { Train = Of(Train), Dev = Of(Dev), Test = Of(Test), FeaturesFile = FeaturesFile };
        return dataset.Train.Count > 0 && dataset.Dev.Count > 0
            ? dataset
            : throw new DatasetException($"{Path.GetFileName(file)} has captions of {dataset.Train.Count} training and {dataset.Dev.Count} development photos; both must have some.");
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
