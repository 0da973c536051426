namespace CaptionService.Client;

/// <summary>How to caption. What is not given is the service's default.</summary>
public sealed record CaptionRequestOptions
{
    /// <summary>Captions of each photo, best first: 1 to 16.</summary>
    public int? Count { get; init; }

    /// <summary>Hypotheses the search keeps at each word: 1 to 16; 1 is greedy.</summary>
    public int? BeamWidth { get; init; }

    /// <summary>Longest caption, in words.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Shortest caption, in words.</summary>
    public int? MinLength { get; init; }

    /// <summary>0 favours short captions, 2 long ones.</summary>
    public double? LengthNormalization { get; init; }

    /// <summary>How much the captions of a photo are to differ: 0 to 5.</summary>
    public double? Diversity { get; init; }

    /// <summary>Languages of the captions (BCP 47).</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Name of the model, or name@version.</summary>
    public string? Model { get; init; }

    /// <summary><c>sentence</c> or <c>raw</c>.</summary>
    public string? Style { get; init; }

    /// <summary>What else captions carry: <c>words</c>, <c>attention</c>.</summary>
    public IReadOnlyList<string> Include { get; init; } = [];

    /// <summary><c>caption</c>, or <c>alt</c>: text that may stand in an <c>alt</c> attribute, empty where the model is unsure.</summary>
    public string? Purpose { get; init; }

    /// <summary>Whether no word states a person's sex.</summary>
    public bool? GenderNeutral { get; init; }

    /// <summary>Most characters of each text: a number, or a preset such as <c>mastodon</c>.</summary>
    public string? MaxCharacters { get; init; }

    /// <summary>Options that this client does not know yet, by name.</summary>
    public IReadOnlyDictionary<string, string> More { get; init; } = new Dictionary<string, string>();

    /// <summary>Names and values, as the service reads them.</summary>
    internal IEnumerable<(string Name, object? Value)> Parameters() =>
    [
        ("count", Count), ("beamWidth", BeamWidth), ("maxLength", MaxLength), ("minLength", MinLength),
        ("lengthNormalization", LengthNormalization), ("diversity", Diversity),
        ("language", string.Join(',', Languages)), ("model", Model), ("style", Style), ("include", string.Join(',', Include)),
        ("purpose", Purpose), ("genderNeutral", GenderNeutral), ("maxCharacters", MaxCharacters),
        .. More.Select(option => (option.Key, (object?)option.Value)),
    ];
}

/// <summary>A photo to send.</summary>
/// <param name="Name">What comes back as the result's name.</param>
/// <param name="Content">Its bytes: JPEG, PNG, WebP or GIF. The caller disposes it.</param>
public sealed record PhotoFile(string Name, Stream Content);

/// <summary>Where the photos of a caption job come from: exactly one of the three.</summary>
public sealed record CaptionSource
{
    private CaptionSource() { }

    internal Stream? ArchiveContent { get; private init; }

    internal string? DatasetId { get; private init; }

    internal string? FolderPath { get; private init; }

    /// <summary>An archive (zip, tar, tar.gz), which the caller disposes.</summary>
    public static CaptionSource Archive(Stream content) => new() { ArchiveContent = content };

    /// <summary>A data set of the service.</summary>
    public static CaptionSource Dataset(string id) => new() { DatasetId = id };

    /// <summary>A folder of the server, below one that its operator allows, such as <c>photos/2026</c>.</summary>
    public static CaptionSource Folder(string path) => new() { FolderPath = path };
}
