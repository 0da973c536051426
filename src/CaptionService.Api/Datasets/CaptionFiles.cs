namespace CaptionService.Api.Datasets;

/// <summary>Which of the files that were sent are the captions.</summary>
internal static class CaptionFiles
{
    /// <summary>Reads them.</summary>
    /// <returns>The files that hold captions, what is in them, and the other texts.</returns>
    /// <exception cref="ProblemException">No file holds captions, or one is malformed or too large.</exception>
    public static async Task<(List<RawFile> Files, List<CaptionFile> Read, List<RawFile> Others)> Read(RawFiles raw, string language, DatasetsOptions options, CancellationToken cancellation)
    {
        List<(RawFile File, string Format)> found = [];
        List<RawFile> rest = [];
        foreach (RawFile file in raw.Files.Where(file => file.Kind == RawKind.Text))
        {
            string? format;
            try
            {
                format = CaptionFile.Recognise(file.Path);
            }
            catch (FormatException)     // a line without end: JSON in one line, or nothing of use
            {
                format = "json";
            }
            if (format is null)
            {
                rest.Add(file);
            }
            else
            {
                found.Add((file, format));
            }
        }
        // Flickr8k brings the same captions lemmatised; multilingual sets a file for each language.
        Prefer(file => !file.BaseName.Contains(".lemma.", StringComparison.OrdinalIgnoreCase));
        string primary = language.Split('-', '_')[0];
        if (found.Count > 1 && found.Count(f => Speaks(f.File, primary)) == 1)
        {
            Prefer(file => Speaks(file, primary));
        }
        if (found.Count == 0)
        {
            throw new ProblemException(ProblemTable.NoCaptions, $"None of {raw.Files.Count + raw.Ignored.Count:N0} files holds captions in a format that is read.");
        }
        foreach ((RawFile file, _) in found)
        {
            if (new FileInfo(file.Path).Length > options.MaxCaptionBytes)
            {
                throw new ProblemException(ProblemTable.ArchiveTooLarge, $"The captions '{RawFiles.Short(file.Name)}' have more than {options.MaxCaptionBytes:N0} bytes.");
            }
        }

        List<RawFile> files = [];
        List<CaptionFile> read = [];
        foreach ((RawFile file, string format) in found)
        {
            CaptionFile captions = await CaptionFile.Read(file, format, cancellation);
            if (captions.Captions.Count == 0 && found.Count > 1)
            {
                rest.Add(file);
                continue;
            }
            files.Add(file);
            read.Add(captions);
        }
        if (read.Sum(file => file.Captions.Count) == 0)
        {
            throw new ProblemException(ProblemTable.NoCaptions, $"'{RawFiles.Short(found[0].File.Name)}' holds no caption.");
        }
        return (files, read, rest);

        void Prefer(Func<RawFile, bool> wanted)
        {
            if (found.Any(f => wanted(f.File)))
            {
                rest.AddRange(found.Where(f => !wanted(f.File)).Select(f => f.File));
                found.RemoveAll(f => !wanted(f.File));
            }
        }
    }

    private static bool Speaks(RawFile file, string language) =>
        file.BaseName.Split('.', '_', '-').Any(part => part.Equals(language, StringComparison.OrdinalIgnoreCase));

    /// <summary>Several files are one data set when each names another split: captions_train2014.json, captions_val2014.json.</summary>
    /// <exception cref="ProblemException">They do not.</exception>
    public static List<RawCaption> Merge(List<RawFile> files, List<CaptionFile> read)
    {
        if (read.Count == 1)
        {
            return [.. read[0].Captions];
        }
        string?[] splits = [.. files.Select(file => CaptionFile.SplitInName(file.Name))];
        if (splits.Contains(null) || splits.Distinct().Count() < splits.Length)
        {
            throw new ProblemException(ProblemTable.AmbiguousCaptions, $"{read.Count} files hold captions: {string.Join(", ", files.Take(4).Select(file => $"'{RawFiles.Short(file.Name)}'"))}.");
        }
        return [.. read.SelectMany((file, i) => file.Captions.Select(caption => caption with { Split = caption.Split ?? splits[i] }))];
    }
}
