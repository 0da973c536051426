using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Datasets;

/// <summary>Which of the files that were sent are the captions.</summary>
/// <param name="raw">All files.</param>
/// <param name="language">Language of the data set.</param>
/// <param name="options">Limits.</param>
/// <param name="findings">Takes what is to be told.</param>
internal sealed class CaptionFiles(RawFiles raw, string language, DatasetsOptions options, List<DatasetFinding> findings)
{
    private static readonly string[] s_photoExtensions = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jxl"];

    private readonly List<(RawFile File, string Format)> _found = [];
    private readonly List<RawFile> _rest = [];

    /// <summary>Reads them.</summary>
    /// <returns>The format of the first file, the captions with their splits, and the other texts.</returns>
    /// <exception cref="ProblemException">No file holds captions, or one is malformed or too large, or several do without a reason.</exception>
    public async Task<(string Format, List<RawCaption> Captions, List<RawFile> Others)> Read(CancellationToken cancellation)
    {
        Recognise(cancellation);
        // Flickr8k brings the same captions lemmatised; multilingual sets a file for each language.
        Prefer(file => !file.BaseName.Contains(".lemma.", StringComparison.OrdinalIgnoreCase));
        string primary = language.Split('-', '_')[0];
        if (_found.Count > 1 && _found.Count(f => Speaks(f.File, primary)) == 1)
            Prefer(file => Speaks(file, primary));
        var read = new List<(RawFile File, CaptionFile Captions)>();
        if (_found.Count == 0 && SideCars() is { Count: > 0 } sideCars)
            read.Add((sideCars[0], ReadSideCars(sideCars)));
        else if (_found.Count == 0)
            throw new ProblemException(ProblemTable.NoCaptions, $"None of {ShortText.Count(raw.Files.Count + raw.Ignored.Count + raw.Unread.Count, "file")} holds captions in a format that is read.{raw.NotOpened}");
        foreach ((RawFile file, string format) in _found)
        {
            var broken = new BrokenLines(file);
            CaptionFile captions = await CaptionFile.Read(file, format, broken, cancellation);
            if (captions.Captions.Count == 0 && broken.Count == 0 && _found.Count > 1)
            {
                _rest.Add(file);
                continue;
            }
            broken.Check(captions.Captions.Count, options.MaxBrokenShare);
            if (broken.Count > 0)
                findings.Add(new("broken_lines", FindingSeverity.Warning, broken.Count, broken.First, $"Left out, because they cannot be read: {ShortText.Count(broken.Count, "line")} of '{file.Name.Shortened(120)}'."));
            read.Add((file, captions));
        }
        int lines = read.Sum(file => file.Captions.Captions.Count);
        if (lines == 0)
            throw new ProblemException(ProblemTable.NoCaptions, $"'{(read.Count > 0 ? read[0].File : _found[0].File).Name.Shortened(120)}' holds no caption.");
        if (read.All(file => file.Captions.Captions.All(caption => string.IsNullOrWhiteSpace(caption.Text))))
            throw new ProblemException(ProblemTable.NoCaptions, $"'{read[0].File.Name.Shortened(120)}' names {ShortText.Count(lines, "photo")}, but its captions are empty.");
        var text = new CaptionText();
        List<RawCaption> merged = [.. Merge(read).SelectMany(text.Clean)];
        findings.AddRange(text.Findings());
        return (read[0].Captions.Format, merged, _rest);
    }

    private void Recognise(CancellationToken cancellation)
    {
        foreach (RawFile sent in raw.Files.Where(file => file.Kind == RawKind.Text).ToArray())
        {
            cancellation.ThrowIfCancellationRequested();
            if (s_photoExtensions.Contains(Path.GetExtension(sent.BaseName), StringComparer.OrdinalIgnoreCase))
            {
                // A page that said "not found", kept under the photo's name.
                raw.Unread.Add((sent.Name, "an HTML page or another text"));
                continue;
            }
            TextEncodings.Detected detected = TextEncodings.Detect(sent.Path, language);
            RawFile file = sent with { Encoding = detected.Encoding };
            string? format;
            try
            {
                format = CaptionFile.Recognise(file);
            }
            catch (FormatException)     // a line without end: JSON in one line, or nothing of use
            {
                format = "json";
            }
            catch (System.Text.DecoderFallbackException)
            {
                format = null;
            }
            bool large = new FileInfo(file.Path).Length > options.MaxCaptionBytes;
            // COCO's boxes are larger than any captions, and do not count as such.
            if (format is null || large && format == "json" && !JsonCaptions.HasCaptions(file))
            {
                _rest.Add(file);
                continue;
            }
            if (large)
                throw new ProblemException(ProblemTable.ArchiveTooLarge, $"The captions '{file.Name.Shortened(120)}' have more than {options.MaxCaptionBytes:N0} bytes.");
            if (!detected.Certain)
            {
                throw new ProblemException(ProblemTable.BrokenCaptions,
                    $"'{file.Name.Shortened(120)}' is not UTF-8, and its bytes do not tell which encoding it has. Save it as UTF-8 (in Excel: \"CSV UTF-8\") and send it again.");
            }
            if (detected.Assumed is { } assumed)
            {
                findings.Add(new("assumed_encoding", FindingSeverity.Warning, 1, [file.Name.Shortened(120)],
                    $"'{file.Name.Shortened(120)}' is not UTF-8: read as {assumed}. Look at the captions; if letters are wrong, save the file as UTF-8 and send it again."));
            }
            _found.Add((file, format));
        }
    }

    private void Prefer(Func<RawFile, bool> wanted)
    {
        if (_found.Any(f => wanted(f.File)))
        {
            _rest.AddRange(_found.Where(f => !wanted(f.File)).Select(f => f.File));
            _found.RemoveAll(f => !wanted(f.File));
        }
    }

    private static bool Speaks(RawFile file, string language) =>
        file.BaseName.Split('.', '_', '-').Any(part => part.Equals(language, StringComparison.OrdinalIgnoreCase));

    /// <summary>Tools that fine-tune image models keep a photo's caption beside it: a.txt and a.jpg.</summary>
    private List<RawFile> SideCars()
    {
        HashSet<string> photos = [.. raw.Files.Where(file => file.Kind == RawKind.Photo).Select(file => Stem(file.Name))];
        return [.. _rest.Where(file => Path.GetExtension(file.BaseName).ToLowerInvariant() is ".txt" or ".caption" or ".cap" && photos.Contains(Stem(file.Name)))];
    }

    private CaptionFile ReadSideCars(List<RawFile> sideCars)
    {
        var captions = new List<RawCaption>();
        foreach (RawFile file in sideCars)
        {
            _rest.Remove(file);
            using var lines = new CaptionLines(file);
            try
            {
                int before = captions.Count;
                while (CaptionFile.Next(lines, file) is { } line)
                    captions.Add(new RawCaption(Stem(file.Name), line, null));
                if (captions.Count == before)
                    captions.Add(new RawCaption(Stem(file.Name), "", null));
            }
            catch (System.Text.DecoderFallbackException)
            {
                throw CaptionFile.Malformed(file, lines.Number + 1, "the text is not UTF-8; save it as UTF-8");
            }
        }
        return new CaptionFile("sidecar", captions);
    }

    private static string Stem(string name) => Path.ChangeExtension(name, null);

    /// <summary>Several files are one data set when each names another split: captions_train2014.json, captions_val2014.json, train/metadata.csv.</summary>
    /// <exception cref="ProblemException">They do not.</exception>
    private static IEnumerable<RawCaption> Merge(List<(RawFile File, CaptionFile Captions)> read)
    {
        if (read.Count == 1)
            return read[0].Captions.Captions.Select(caption => caption with { Folder = read[0].File.Folder });
        string?[] splits = [.. read.Select(file => CaptionFile.SplitInName(file.File.Name))];
        if (splits.Contains(null) || splits.Distinct().Count() < splits.Length)
            throw new ProblemException(ProblemTable.AmbiguousCaptions, $"{read.Count} files hold captions: {string.Join(", ", read.Take(4).Select(file => $"'{file.File.Name.Shortened(120)}'"))}.");
        return read.SelectMany((file, i) => file.Captions.Captions.Select(caption => caption with { Split = caption.Split ?? splits[i], Folder = file.File.Folder }));
    }
}
