namespace CaptionService.Api.Datasets;

/// <summary>Finds the photo that a caption means: by its path, the end of its path, its file name, in any casing, without extension.</summary>
internal sealed class PhotoNames
{
    private readonly Dictionary<string, RawFile> _paths = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<RawFile>> _names = new(StringComparer.Ordinal), _anyCase = new(StringComparer.OrdinalIgnoreCase), _stems = new(StringComparer.OrdinalIgnoreCase);

    /// <param name="photos">All that were sent.</param>
    public PhotoNames(IEnumerable<RawFile> photos)
    {
        foreach (RawFile photo in photos)
        {
            _paths[photo.Name] = photo;
            Put(_names, photo.BaseName, photo);
            Put(_anyCase, photo.BaseName, photo);
            Put(_stems, Path.GetFileNameWithoutExtension(photo.BaseName), photo);
        }
    }

    /// <summary>The photo, or null where none or several could be meant.</summary>
    public RawFile? Find(string name)
    {
        string path = RawFiles.Printable(name.Replace('\\', '/').Trim()), file = path[(path.LastIndexOf('/') + 1)..];
        return _paths.GetValueOrDefault(path)
            ?? Only(_names.GetValueOrDefault(file)?.Where(photo => photo.Name.EndsWith("/" + path.TrimStart('.', '/'), StringComparison.Ordinal)))
            ?? Only(_names.GetValueOrDefault(file)) ?? Only(_anyCase.GetValueOrDefault(file)) ?? Only(_stems.GetValueOrDefault(file));
    }

    private static void Put(Dictionary<string, List<RawFile>> index, string key, RawFile photo)
    {
        if (!index.TryGetValue(key, out List<RawFile>? photos))
        {
            index[key] = photos = [];
        }
        photos.Add(photo);
    }

    private static RawFile? Only(IEnumerable<RawFile>? photos) => photos?.Take(2).ToArray() is [var one] ? one : null;
}
