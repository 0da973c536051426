using System.Text.Json;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Train;

namespace CaptionService.Trainer.Tests;

/// <summary>One folder of feature caches for all tests, so that each sample is encoded once.</summary>
public sealed class SharedFeatures : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("features").FullName;

    // A run that is stopped at once must find them, whichever test comes first.
    public SharedFeatures()
    {
        using var job = new JobFolder(Folder, JobFolder.Small with { Epochs = 1 });
        job.Train();
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}

/// <summary>A job over the sample photos in a temporary folder.</summary>
internal sealed class JobFolder : IDisposable
{
    public static string Samples { get; } = Path.Combine(AppContext.BaseDirectory, "samples");

    public static IReadOnlyDictionary<string, string[]> Captions { get; } = new Dictionary<string, string[]>
    {
        ["astronaut"] = ["A woman in an orange space suit smiles.", "An astronaut poses in front of a flag."],
        ["cat"] = ["A striped cat looks at the camera.", "The face of a cat with green eyes.", "A cat's whiskers."],
        ["coffee"] = ["A cup of coffee on a wooden table.", "Hot coffee in a red cup with a spoon."],
        ["flower"] = ["A bright flower grows between leaves.", "One blossom is open."],
        ["rocket"] = ["A rocket lifts off from its tower.", "Fire and smoke under a rising rocket."],
        ["temple"] = ["A Chinese temple under a blue sky.", "The curved roof of an old temple."],
    };

    public string Folder { get; } = Directory.CreateTempSubdirectory("job").FullName;

    public JobFile Job { get; private set; }

    /// <summary>By default four photos to train on and two to choose by, and a network small enough to train in a second.</summary>
    public JobFolder(string features, TrainingOptions? options = null)
    {
        Job = new JobFile
        {
            Name = "samples",
            Language = "en",
            Features = features,
            Data = [new DataSource(Samples, "captions.txt", "train.txt", "dev.txt")],
            Options = options ?? Small,
        };
        WriteData(Captions.SelectMany(p => p.Value.Select(c => (p.Key + ".jpg", c))), ["astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg"], ["rocket.jpg", "temple.jpg"]);
        WriteJob(Job);
    }

    public static TrainingOptions Small { get; } = new()
    {
        Hidden = 32,
        Heads = 4,
        Embedding = 16,
        Attention = 24,
        BatchPhotos = 2,
        MinWordCount = 1,
        Epochs = 3,
        WarmupSteps = 2,
        LearningRate = 5e-3,
        Patience = 1000,
        Dropout = 0.3,
        WeightAverage = 0.9,
        LabelSmoothing = 0.1,
        Precision = "float32",
        Seed = 7,
    };

    public string File(string name) => Path.Combine(Folder, name);

    public void WriteData(IEnumerable<(string Photo, string Caption)> captions, string[] train, string[] dev)
    {
        System.IO.File.WriteAllLines(File("captions.txt"), captions.Select((c, i) => $"{c.Photo}#{i}\t{c.Caption}"));
        System.IO.File.WriteAllLines(File("train.txt"), train);
        System.IO.File.WriteAllLines(File("dev.txt"), dev);
    }

    public void WriteJob(JobFile job)
    {
        Job = job;
        System.IO.File.WriteAllBytes(File("job.json"), JsonSerializer.SerializeToUtf8Bytes(job, JobFile.Json));
    }

    /// <summary>Trains in this process, as the program does.</summary>
    public ModelCard Train(bool stopped = false)
    {
        TorchRuntime.Configure(threads: 1);     // products this small only wait for a second thread
        using var events = new EventWriter(File("events.jsonl"), TimeProvider.System);
        return new TrainingRun(Folder, Job, new Progress(TextWriter.Null, interactive: false), events, new CancellationToken(stopped)).Run();
    }

    public TrainingEvent[] Events() =>
        [.. System.IO.File.ReadLines(File("events.jsonl")).Select(l => JsonSerializer.Deserialize<TrainingEvent>(l, TrainingEvent.Json)!)];

    /// <summary>The epoch the model is of.</summary>
    public int Best() => ModelBundle.ReadCard(File("model")).Training["epoch"].GetInt32();

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
