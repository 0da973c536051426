using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using TorchSharp.Modules;

namespace CaptionService.Trainer.Train;

/// <summary>One language of a run: its captions and words, its network, and its validation. Multilingual training has several.</summary>
internal sealed class LanguageTask : IDisposable
{
    private FeatureSource? _dev;

    /// <summary>Name of the model to be made.</summary>
    public string Model { get; }

    /// <summary>BCP 47.</summary>
    public string Language { get; }

    /// <summary>Folder of the model, in the job's.</summary>
    public string Folder { get; }

    /// <summary>The photos that have captions in the language.</summary>
    public Dataset Dataset { get; }

    /// <summary>Splits sentences of the language into words.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The words it learns.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>The captions of each training photo, as ids.</summary>
    public int[][][] Captions { get; }

    /// <summary>The captions of each development photo, as ids.</summary>
    public int[][][] DevCaptions { get; }

    /// <summary>Features of the training photos.</summary>
    public Augmentations Augmentations { get; private set; } = null!;

    /// <summary>The decoder's input for the development photos.</summary>
    public FeatureSource DevFeatures { get; private set; } = null!;

    /// <summary>The validations, one for each source with development photos.</summary>
    public IReadOnlyList<(string Source, Validation Validation)> Validations { get; private set; } = [];

    /// <summary>The network; null before it is made.</summary>
    public CaptionDecoder Decoder { get; set; } = null!;

    /// <summary>The encoder's last block, where it learns too; all languages share it.</summary>
    public TunedEncoder? Encoder { get; private set; }

    /// <summary>The decoder's input for the training photos, with each augmentation; the unchanged photos come first.</summary>
    public IReadOnlyList<FeatureSource> TrainFeatures => [.. Augmentations.All.Select(source => source.Through(Encoder))];

    /// <summary>The networks of the language and what they learn from.</summary>
    public Student Student => new(Captions, Decoder, Augmentations, Dataset.Sources, Encoder);

    /// <summary>Reads what is learnt.</summary>
    /// <param name="model">Name of the model.</param>
    /// <param name="language">The language of the captions.</param>
    /// <param name="folder">Where the model is saved.</param>
    /// <param name="dataset">Photos and captions.</param>
    /// <param name="options">How words are counted and captions cut.</param>
    /// <param name="vocabulary">Words of the model that training starts from; null: none.</param>
    /// <exception cref="DatasetException">There is nothing to learn.</exception>
    public LanguageTask(string model, string language, string folder, Dataset dataset, TrainingOptions options, Vocabulary? vocabulary)
    {
        (Model, Language, Folder, Dataset) = (model, language, folder, dataset);
        Tokenizer = Tokenizer.For(language);
        var heard = vocabulary is null || options.NewWords ? Vocabulary.Build(dataset.Train.SelectMany(p => p.Captions.Select(Tokenizer.Surfaces)), options.MinWordCount) : null;
        Vocabulary = vocabulary is null ? heard! : heard is null ? vocabulary : vocabulary.With(heard);
        if (Vocabulary.Count == Vocabulary.Unknown + 1)
            throw new DatasetException($"No word is in the training captions {options.MinWordCount} times: lower minWordCount.");
        Captions = Encode(dataset.Train);
        DevCaptions = Encode(dataset.Dev);

        int[][][] Encode(IReadOnlyList<CaptionedPhoto> photos)
        {
            int[][][] words = [.. photos.Select(p => p.Captions.Select(c => Cut(Vocabulary.Encode(Tokenizer.Tokenize(c)))).Where(c => c.Length > 0).ToArray())];
            int wordless = Array.FindIndex(words, c => c.Length == 0);
            return wordless < 0 ? words : throw new DatasetException($"No caption of {photos[wordless].Name} holds a word.");
        }

        int[] Cut(int[] words) => words.Length <= options.MaxCaptionWords ? words : words[..options.MaxCaptionWords];
    }

    /// <summary>Opens the features of its photos, computing what is not there yet.</summary>
    /// <param name="cache">Folder of the feature cache.</param>
    /// <param name="encoding">What encodes the photos.</param>
    /// <param name="options">Which augmentations there are.</param>
    /// <param name="progress">Told of each block.</param>
    /// <param name="stop">Ends the pass.</param>
    public void Open(string cache, PhotoEncoding encoding, TrainingOptions options, Progress progress, CancellationToken stop)
    {
        Augmentations = Augmentations.Open(Dataset, cache, encoding, options, progress, stop);
        _dev = FeatureSource.Open(Dataset, Dataset.Dev, cache, encoding, Augmentation.None, progress, stop);
    }

    /// <summary>Attaches the encoder and prepares the validations.</summary>
    /// <param name="encoder">The encoder's last block, where it learns too; all languages share it.</param>
    public void Attach(TunedEncoder? encoder)
    {
        Encoder = encoder;
        DevFeatures = _dev!.Through(encoder);
        var training = Dataset.TrainCaptions(Tokenizer);
        Validations =
        [
            .. Dataset.SourcesOf("dev").Select(source =>
            {
                var (first, count) = source.Rows.GetOffsetAndLength(Dataset.Dev.Count);
                return (source.Name, new Validation([.. Dataset.Dev.Skip(first).Take(count)], DevFeatures.Select([.. Enumerable.Range(first, count)]), training, Vocabulary, Tokenizer));
            }),
        ];
    }

    /// <summary>The weights of the network, each other language's words, and what is learnt of the encoder.</summary>
    public static IEnumerable<(string Name, Parameter Parameter)> Parameters(LanguageTask[] languages)
    {
        var shared = languages[0].Decoder.named_parameters().ToArray();
        var encoder = languages[0].Encoder?.Adapter.named_parameters().Select(p => (Checkpoint.Encoder + p.name, p.parameter)) ?? [];
        return
        [
            .. shared, .. encoder,
            .. languages[1..].SelectMany(l => l.Decoder.named_parameters().Where(own => !shared.Any(s => ReferenceEquals(s.parameter, own.parameter)))
                .Select(own => ($"{l.Language}.{own.name}", own.parameter))),
        ];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Decoder?.Dispose();
        Augmentations?.Dispose();
        _dev?.Dispose();
    }
}
