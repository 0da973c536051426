using CaptionService.Captioning;
using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Training;

namespace CaptionService.Trainer;

/// <summary>One language of a run: its captions and words, its network, and what judges it.</summary>
internal sealed class LearntLanguage
{
    /// <summary>Name of the model to be made.</summary>
    public string Model { get; }

    /// <summary>BCP 47.</summary>
    public string Language { get; }

    /// <summary>Folder of the model, in the job's.</summary>
    public string Folder { get; }

    /// <summary>The photos that have captions in the language.</summary>
    public Dataset Dataset { get; }

    /// <summary>Of the language.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The words it learns.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Of each training photo, as ids.</summary>
    public int[][][] Captions { get; }

    /// <summary>Of each development photo, as ids.</summary>
    public int[][][] DevCaptions { get; }

    /// <summary>Features of the training photos.</summary>
    public TrainingViews Views { get; private set; } = null!;

    /// <summary>What the decoder sees of the development photos.</summary>
    public FeatureSource DevFeatures { get; private set; } = null!;

    /// <summary>Scores what the decoder writes.</summary>
    public Validation Validation { get; private set; } = null!;

    /// <summary>The network; null before it is made.</summary>
    public CaptionDecoder Decoder { get; set; } = null!;

    /// <summary>The encoder, where it is learnt too; of all languages the same.</summary>
    public TunedEncoder? Encoder { get; private set; }

    /// <summary>What the decoder sees of the training photos in each view, as they are first.</summary>
    public IReadOnlyList<FeatureSource> TrainFeatures => [.. Views.All.Select(view => view.Through(Encoder))];

    /// <summary>For a stage.</summary>
    public Lesson Lesson => new(Captions, Decoder, Views, Encoder);

    /// <summary>Reads what is learnt.</summary>
    /// <param name="model">Name of the model.</param>
    /// <param name="language">Of the captions.</param>
    /// <param name="folder">Where the model is saved.</param>
    /// <param name="dataset">Photos and captions.</param>
    /// <param name="options">How words are counted and captions cut.</param>
    /// <param name="vocabulary">Words of the model that training starts from; null: those of the captions.</param>
    /// <exception cref="DatasetException">There is nothing to learn.</exception>
    public LearntLanguage(string model, string language, string folder, Dataset dataset, TrainingOptions options, Vocabulary? vocabulary)
    {
        (Model, Language, Folder, Dataset) = (model, language, folder, dataset);
        Tokenizer = Tokenizer.For(language);
        Vocabulary = vocabulary ?? Vocabulary.Build(dataset.Train.SelectMany(p => p.Captions.Select(Tokenizer.Surfaces)), options.MinWordCount);
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

    /// <summary>Takes its rows of the features of all photos.</summary>
    /// <param name="all">Whose features they are.</param>
    /// <param name="views">Of the training photos.</param>
    /// <param name="dev">Of the development photos.</param>
    /// <param name="encoder">Sees the rest of them, where it is learnt too.</param>
    public void See(Dataset all, TrainingViews views, FeatureSource dev, TunedEncoder? encoder)
    {
        Encoder = encoder;
        Views = views.Select(Rows(all.Train, Dataset.Train));
        DevFeatures = dev.Select(Rows(all.Dev, Dataset.Dev)).Through(encoder);
        Validation = new Validation(Dataset.Dev, DevFeatures, Dataset.TrainCaptions(Tokenizer), Vocabulary, Tokenizer);

        static int[] Rows(IReadOnlyList<CaptionedPhoto> all, IReadOnlyList<CaptionedPhoto> some)
        {
            var rowOf = all.Select((photo, row) => (photo.Name, row)).ToDictionary(p => p.Name, p => p.row, StringComparer.Ordinal);
            return [.. some.Select(photo => rowOf[photo.Name])];
        }
    }
}
