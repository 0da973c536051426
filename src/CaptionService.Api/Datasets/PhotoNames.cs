using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Finds the photo that a caption means: by its path, the end of its path, its file name; else, loosely, in any casing, with
/// another extension (a.JPG, a.jpeg) or none, as its number (1.0 for 1.jpg), or where a zip's name was read in the wrong code page.
/// </summary>
internal sealed class PhotoNames
{
    // What Windows, macOS and East Asian programs write names of a zip in, where they do not say UTF-8.
    private static readonly Encoding[] s_others = Array.ConvertAll([1252, 850, 10000, 54936, 932, 949, 950], TextEncodings.Strict);
    private static readonly Encoding s_asRead = TextEncodings.Strict(437);

    private readonly Dictionary<string, RawFile> _paths = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<RawFile>> _names = new(StringComparer.Ordinal), _anyCase = new(StringComparer.OrdinalIgnoreCase), _stems = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>A photo and how it was found.</summary>
    /// <param name="Photo">The photo, or null where none or several could be meant.</param>
    /// <param name="Loose">Whether its name is not quite the caption's.</param>
    /// <param name="Several">Whether several could be meant.</param>
    public readonly record struct Match(RawFile? Photo, bool Loose, bool Several);

    /// <param name="photos">All that were sent.</param>
    public PhotoNames(IEnumerable<RawFile> photos)
    {
        foreach (RawFile photo in photos)
        {
            _paths[photo.Name] = photo;
            Put(_names, photo.BaseName, photo);
            Put(_anyCase, photo.BaseName, photo);
            Put(_stems, Path.GetFileNameWithoutExtension(photo.BaseName), photo);
            foreach (string other in OtherReadings(photo.BaseName))
            {
                Put(_anyCase, other, photo);
                Put(_stems, Path.GetFileNameWithoutExtension(other), photo);
            }
        }
    }

    /// <summary>Finds it.</summary>
    /// <param name="name">What the caption calls it.</param>
    /// <param name="folder">Folder of the caption's file.</param>
    public Match Find(string name, string folder)
    {
        string path = ShortText.Printable(CaptionFile.WholeNumber(name.Replace('\\', '/').Trim())), file = path[(path.LastIndexOf('/') + 1)..];
        string relative = path.StartsWith("./", StringComparison.Ordinal) ? path[2..] : path;
        if (_paths.GetValueOrDefault(folder.Length > 0 ? $"{folder}/{relative}" : relative) is { } beside)
            return new(beside, false, false);
        List<RawFile>? named = _names.GetValueOrDefault(file);
        RawFile? exact = _paths.GetValueOrDefault(relative) ?? Only(named?.Where(photo => photo.Name.EndsWith("/" + path.TrimStart('.', '/'), StringComparison.Ordinal))) ?? Only(named);
        if (exact is not null || named is not null)
            return new(exact, false, exact is null);
        List<RawFile>? loose = _anyCase.GetValueOrDefault(file) ?? _stems.GetValueOrDefault(file) ?? _stems.GetValueOrDefault(Path.GetFileNameWithoutExtension(file));
        return new(Only(loose), true, loose is { Count: > 1 });
    }

    // What a name that was read as code page 437, which has a character for each byte, would be in others.
    private static IEnumerable<string> OtherReadings(string name)
    {
        if (Ascii.IsValid(name))
            yield break;
        byte[] bytes;
        try
        {
            bytes = s_asRead.GetBytes(name);
        }
        catch (EncoderFallbackException)
        {
            yield break;
        }
        foreach (Encoding other in s_others)
        {
            string? text = null;
            try
            {
                text = other.GetString(bytes);
            }
            catch (DecoderFallbackException)
            {
                // Not in this one.
            }
            if (text is not null && text != name)
                yield return ShortText.Printable(text);
        }
    }

    private static void Put(Dictionary<string, List<RawFile>> index, string key, RawFile photo)
    {
        if (!index.TryGetValue(key, out List<RawFile>? photos))
            index[key] = photos = [];
        // Several readings of one name may be the same; a photo's come one after the other.
        if (photos.Count == 0 || !ReferenceEquals(photos[^1], photo))
            photos.Add(photo);
    }

    private static RawFile? Only(IEnumerable<RawFile>? photos) => photos?.Take(2).ToArray() is [var one] ? one : null;
}
