using System.Text;
using System.Text.Json;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Brings what was sent into the one form that is trained on (<see cref="DatasetFolder"/>): captions recognised and joined
/// with their photos, names made safe, splits taken from the data or drawn. No photo is decoded here.
/// </summary>
internal sealed class CanonicalForm(RawFiles raw, string language, DatasetsOptions options)
{
    private const int Seed = 1;                     // of splits that are drawn
    private const double DevShare = 0.1;            // of the photos, at least one
    private const int MaxNameLength = 100;          // characters of a photo's name

    private readonly List<DatasetFinding> _findings = [];
    private string? _severalMeant;                  // the first name that several photos have

    /// <summary>One photo of the data set to be.</summary>
    private sealed record Entry(RawFile? Photo, string Original, List<string> Captions)
    {
        public string Name { get; set; } = "";

        public string? Split { get; set; }

        public int FirstRow { get; init; }      // of its captions, among all
        public int Number { get; init; }        // among the photos that captions name
    }

    /// <summary>Writes the folder.</summary>
    /// <exception cref="ProblemException">No captions are recognised, or they are malformed, or fit no photo.</exception>
    public async Task Write(string folder, CancellationToken cancellation)
    {
        (string format, List<RawCaption> captions, List<RawFile> rest) = await new CaptionFiles(raw, language, options, _findings).Read(cancellation);
        List<Entry> entries = Join(captions);
        int lines = captions.Count, photoFiles = raw.Files.Count(file => file.Kind == RawKind.Photo);
        bool precomputed = entries.All(entry => entry.Photo is null) && raw.Files.Any(file => file.Kind == RawKind.Array);
        RawFile? array = precomputed ? GivenFeatures.Choose(raw, lines, entries.Count) : null;
        foreach (RawFile unused in raw.Files.Where(file => file.Kind == RawKind.Array && file != array))
            raw.Ignored.Add(unused.Name);

        Report(entries, captions, precomputed);
        int all = entries.Count;
        List<Entry> kept = [.. entries.Where(entry => (precomputed || entry.Photo is not null) && entry.Captions.Count > 0)];
        if (kept.Count == 0)
        {
            throw photoFiles == 0 && !precomputed
                ? new ProblemException(ProblemTable.NoPhotosSent, raw.Unread.Count > 0 || raw.Nested.Count > 0
                    ? $"{ShortText.Count(lines, "caption")} came, but no photo that can be read.{raw.NotOpened}" : $"{ShortText.Count(lines, "caption")} came, without photos or features.")
                : new ProblemException(ProblemTable.NothingFits, _severalMeant is { } name
                    ? $"'{name.Shortened(120)}' names several photos in different folders: which one is meant is unknown. Write the folder into the captions too."
                    : $"None of {ShortText.Count(lines, "caption")} names one of {ShortText.Count(photoFiles, "photo")}: '{captions[0].Photo.Shortened(120)}' is the first.{raw.NotOpened}");
        }
        Name(kept);
        string splitsFrom = Split(kept, rest);

        Directory.CreateDirectory(Path.Combine(folder, DatasetFolder.Photos));
        await using (var text = new StreamWriter(Path.Combine(folder, DatasetFolder.Captions), append: false, new UTF8Encoding(false)) { NewLine = "\n" })
        {
            foreach (Entry entry in kept)
            {
                for (int k = 0; k < entry.Captions.Count; k++)
                    await text.WriteLineAsync($"{entry.Name}#{k}\t{entry.Captions[k]}");
            }
        }
        foreach (Entry entry in kept)
        {
            cancellation.ThrowIfCancellationRequested();
            if (entry.Photo is { } photo)
            {
                string path = Path.Combine(folder, DatasetFolder.Photos, entry.Name);
                if (photo.Owned)
                    File.Move(photo.Path, path);
                else
                    await Copy(photo.Path, path, cancellation);
            }
        }
        if (array is not null)
        {
            // Photos are in the order of their first captions: the file has a row for each, or one for each caption.
            bool perCaption = GivenFeatures.Rows(array) == lines && lines != all;
            GivenFeatures.Write(array, Path.Combine(folder, DatasetFolder.Features), [.. kept.Select(entry => perCaption ? entry.FirstRow : entry.Number)], cancellation);
            await File.WriteAllLinesAsync(Path.Combine(folder, DatasetFolder.Names), kept.Select(entry => entry.Name), cancellation);
        }
        await WriteNames(folder, DatasetFolder.Train, kept, "train");
        await WriteNames(folder, DatasetFolder.Dev, kept, "dev");
        if (kept.Any(entry => entry.Split == "test"))
            await WriteNames(folder, DatasetFolder.Test, kept, "test");
        var import = new DatasetImport(format, language, photoFiles, lines, splitsFrom, _findings);
        await File.WriteAllBytesAsync(Path.Combine(folder, DatasetFolder.Import), JsonSerializer.SerializeToUtf8Bytes(import, TrainingEvent.Json), cancellation);
    }

    private List<Entry> Join(List<RawCaption> captions)
    {
        var photos = new PhotoNames(raw.Files.Where(file => file.Kind == RawKind.Photo));
        var byName = new Dictionary<string, Entry>(StringComparer.Ordinal);
        var byPhoto = new Dictionary<RawFile, Entry>(ReferenceEqualityComparer.Instance);
        List<Entry> entries = [];
        List<string> twoSplits = [], loose = [], several = [];
        var tokenizer = Tokenizer.For(language);
        for (int row = 0; row < captions.Count; row++)
        {
            RawCaption caption = captions[row];
            string key = $"{caption.Folder}\n{caption.Photo}";
            if (!byName.TryGetValue(key, out Entry? entry))
            {
                PhotoNames.Match match = photos.Find(caption.Photo, caption.Folder);
                RawFile? photo = match.Photo;
                if (match.Several)
                    several.Add(caption.Photo);
                else if (match.Loose && photo is not null)
                    loose.Add($"{caption.Photo.Quoted()} → {photo.BaseName}");
                if (photo is null || !byPhoto.TryGetValue(photo, out entry))
                {
                    entry = new Entry(photo, caption.Photo, []) { Split = caption.Split, FirstRow = row, Number = entries.Count };
                    entries.Add(entry);
                    if (photo is not null)
                        byPhoto[photo] = entry;
                }
                byName[key] = entry;
            }
            if (caption.Split is not null && entry.Split != caption.Split && entry.Split is not null && twoSplits.LastOrDefault() != caption.Photo)
                twoSplits.Add(caption.Photo);
            entry.Split ??= caption.Split;
            if (tokenizer.Tokenize(caption.Text).Count > 0)
                entry.Captions.Add(caption.Text);
        }
        _severalMeant = several.FirstOrDefault();
        Add("ambiguous_names", FindingSeverity.Warning, several, n => $"Named by captions, but several photos in different folders have the name: {n}. Which is meant is unknown; write the folder into the captions too.");
        Add("loose_names", FindingSeverity.Info, loose, n => $"Found by a name that is not quite the caption's (casing, extension, encoding): {n}.");
        Add("photos_in_two_splits", FindingSeverity.Warning, twoSplits, n => $"Named in two splits: {n}. The first split counts.");
        return entries;
    }

    private void Report(List<Entry> entries, List<RawCaption> captions, bool precomputed)
    {
        if (!precomputed)
        {
            Entry[] homeless = [.. entries.Where(entry => entry.Photo is null)];
            Add("captions_without_photo", FindingSeverity.Warning, [.. homeless.Select(entry => entry.Original)],
                n => $"Named by captions, but not sent: {n}. Left out with {ShortText.Count(homeless.Sum(entry => entry.Captions.Count), "caption")}.");
            HashSet<RawFile> used = new(entries.Where(entry => entry.Captions.Count > 0).Select(entry => entry.Photo).OfType<RawFile>(), ReferenceEqualityComparer.Instance);
            Add("photos_without_captions", FindingSeverity.Warning, [.. raw.Files.Where(file => file.Kind == RawKind.Photo && !used.Contains(file)).Select(file => file.Name)],
                n => $"Sent without a caption: {n}. Left out.");
        }
        int empty = captions.Count - entries.Sum(entry => entry.Captions.Count);
        if (empty > 0)
        {
            _findings.Add(new DatasetFinding("empty_captions", FindingSeverity.Warning, empty, [.. captions.Where(caption => caption.Text.Length == 0).Select(caption => caption.Photo).Distinct().Take(DatasetFinding.MaxExamples)],
                empty == 1 ? "1 caption holds no word and was left out." : $"{empty} captions hold no word and were left out."));
        }
        Add("repeated_names", FindingSeverity.Warning, raw.Repeated, n => $"Sent twice under one name: {n}. The first counts.");
        Add("nested_archives", FindingSeverity.Warning, raw.Nested, n => $"Archives inside the archive: {n}. They were not opened; put their files into one archive.");
        Add("unread_photos", FindingSeverity.Warning, raw.Unread.ConvertAll(file => $"{file.Name.Shortened(120)}: {file.Format}"), n => $"Of a format that is not read: {n}. Save them as JPEG, PNG or WebP.");
        Add("links_ignored", FindingSeverity.Warning, raw.Links, n => $"Links in the folder: {n}. They were not followed.");
    }

    private void Name(List<Entry> entries)
    {
        var taken = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        List<string> renamed = [];
        foreach (Entry entry in entries)
        {
            string original = entry.Photo?.BaseName ?? entry.Original[(entry.Original.LastIndexOfAny(['/', '\\']) + 1)..];
            string safe = string.Concat(ShortText.Printable(original).Select(c => char.IsLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '_')).TrimStart('.');
            safe = safe.Length > MaxNameLength ? safe[^MaxNameLength..] : safe.Length == 0 ? "photo" : safe;
            string stem = Path.GetFileNameWithoutExtension(safe), extension = Path.GetExtension(safe);
            string name = safe;
            for (int i = 2; !taken.Add(name); i++)
                name = $"{stem}-{i}{extension}";
            entry.Name = name;
            if (name != original)
                renamed.Add($"{entry.Original.Quoted()} → {name}");
        }
        Add("renamed_photos", FindingSeverity.Info, renamed, n => $"Named anew here: {n}. The name was unsafe for a file, or another photo has it too.");
    }

    private string Split(List<Entry> entries, List<RawFile> rest)
    {
        if (entries.All(entry => entry.Split is null))
            ReadSplitLists(entries, rest);
        foreach (RawFile file in rest)
            raw.Ignored.Add(file.Name);
        Add("ignored_files", FindingSeverity.Info, raw.Ignored, n => $"Neither photos nor captions: {n}. Left out.");
        if (entries.Any(entry => entry.Split is not null))
        {
            Add("photos_without_split", FindingSeverity.Info, [.. entries.Where(entry => entry.Split is null).Select(entry => entry.Name)], n => $"In none of the splits that came: {n}. Not used.");
            return "data";
        }
        // By name, so that the same photos in another order give the same splits.
        Entry[] order = [.. entries.OrderBy(entry => entry.Name, StringComparer.Ordinal)];
        new Random(Seed).Shuffle(order);
        int dev = order.Length < 2 ? 0 : Math.Max(1, (int)(order.Length * DevShare));
        for (int i = 0; i < order.Length; i++)
            order[i].Split = i < dev ? "dev" : "train";
        return "made";
    }

    // Flickr_8k.trainImages.txt and the like: a file of names whose own name tells the split.
    private static void ReadSplitLists(List<Entry> entries, List<RawFile> rest)
    {
        var byName = new Dictionary<string, Entry>(StringComparer.Ordinal);
        foreach (Entry entry in entries)
        {
            byName.TryAdd(BaseName(entry.Original), entry);
            byName.TryAdd(entry.Name, entry);
        }
        foreach (RawFile file in rest.ToArray())
        {
            if (CaptionFile.SplitInName(file.BaseName) is not { } split || CaptionFile.ReadNames(file, most: 10 * entries.Count + 1000) is not { Count: > 0 } names)
                continue;
            List<Entry> listed = [.. names.Select(name => byName.GetValueOrDefault(BaseName(name))).OfType<Entry>()];
            if (2 * listed.Count < names.Count && listed.Count < entries.Count / 10)
                continue;
            foreach (Entry entry in listed)
                entry.Split ??= split;
            rest.Remove(file);
        }

        static string BaseName(string name) => name[(name.LastIndexOfAny(['/', '\\']) + 1)..];
    }

    private static async Task WriteNames(string folder, string file, List<Entry> entries, string split) =>
        await File.WriteAllTextAsync(Path.Combine(folder, file), string.Concat(entries.Where(entry => entry.Split == split).Select(entry => entry.Name + "\n")));

    private static async Task Copy(string from, string to, CancellationToken cancellation)
    {
        await using FileStream source = File.OpenRead(from);
        await using FileStream target = File.Create(to);
        await source.CopyToAsync(target, cancellation);
    }

    private void Add(string code, FindingSeverity severity, List<string> all, Func<string, string> message)
    {
        if (all.Count == 0)
            return;
        bool files = code is "ignored_files" or "unread_photos" or "nested_archives" or "links_ignored" or "repeated_names";
        string count = $"{all.Count} {(files ? "file" : "photo")}{(all.Count == 1 ? "" : "s")}";
        string[] examples = [.. all.Take(DatasetFinding.MaxExamples).Select(name => name.Quoted())];
        _findings.Add(new DatasetFinding(code, severity, all.Count, examples, message(count)));
    }
}
