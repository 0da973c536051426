using System.Security.Cryptography;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

public sealed class TrainingRunTests(SharedFeatures features, ITestOutputHelper output)
{
    [Theory]
    [InlineData("show-and-tell", "float32", 0, 0)]
    [InlineData("show-attend-and-tell", "float32", 0, 0)]
    [InlineData("top-down", "float32", 2, 0)]
    [InlineData("top-down", "bfloat16", 0, 0)]
    [InlineData("top-down", "float32", 1, 2)]
    public void A_run_stopped_after_every_step_ends_bit_for_bit_as_an_unbroken_one(string architecture, string precision, int selfCritical, int encoderRank)
    {
        var options = JobFolder.Small with { Architecture = architecture, Precision = precision, Mirror = true, Crop = true, SelfCriticalEpochs = selfCritical, EncoderRank = encoderRank };
        using var unbroken = new JobFolder(features.Folder, options);
        using var broken = new JobFolder(features.Folder, options);
        var card = unbroken.Train();

        int epochs = 3 + selfCritical, steps = 2 * epochs;
        for (int step = 0; step < steps; step++)
            Assert.Throws<OperationCanceledException>(() => broken.Train(stopped: true));
        Assert.False(Directory.Exists(broken.File("model")));
        Assert.Equal(card.Digest, broken.Train(stopped: true).Digest);     // nothing is left to do but the model

        foreach (string file in new[] { "checkpoint.safetensors", "model/decoder.safetensors", "model/model.json", "model/vocabulary.txt" }.Concat(encoderRank > 0 ? ["model/adapter.safetensors"] : []))
            Assert.True(File.ReadAllBytes(unbroken.File(file)).AsSpan().SequenceEqual(File.ReadAllBytes(broken.File(file))), $"{file} differs");
        TrainingEvent[] expected = unbroken.Events(), found = broken.Events();
        Assert.Equal(Enumerable.Range(1, found.Length).Select(i => (long)i), found.Select(e => e.Id));
        Assert.Equal(Enumerable.Range(0, epochs).Select(e => e < 3 ? "cross-entropy" : "self-critical"), found.Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("method").GetString()));
        Assert.Equal(Figures(expected), Figures(found));
        Assert.Single(found, e => e.Type == "started");
        Assert.Equal(Enumerable.Range(1, steps), found.Where(e => e.Type == "checkpoint").Select(e => e.Data.GetProperty("step").GetInt32()));
        Assert.Empty(Directory.GetFiles(broken.Folder, "*.tmp"));
        Assert.Single(Directory.GetFiles(broken.Folder, "best-*.safetensors"));

        static IEnumerable<string> Figures(TrainingEvent[] events) => events.Where(e => e.Type == "epoch").Select(e => e.Data.GetRawText());
    }

    [Fact]
    public void Sources_are_drawn_by_their_weights_judged_apart_and_resumed_bit_for_bit()
    {
        var options = JobFolder.Small with { Epochs = 2, SelfCriticalEpochs = 1 };
        using var unbroken = new JobFolder(features.Folder, options);
        using var broken = new JobFolder(features.Folder, options);
        foreach (var job in new[] { unbroken, broken })
        {
            job.WriteData(JobFolder.Captions.SelectMany(p => p.Value.Select(c => (p.Key + ".jpg", c))), ["astronaut.jpg", "cat.jpg"], ["rocket.jpg"]);
            File.WriteAllLines(job.File("train2.txt"), ["coffee.jpg"]);
            File.WriteAllLines(job.File("dev2.txt"), ["temple.jpg"]);
            File.WriteAllLines(job.File("train3.txt"), ["flower.jpg"]);
            job.WriteJob(job.Job with
            {
                Data = [job.Job.Data[0] with { Name = "own" }, job.Job.Data[0] with { Name = "more", Train = "train2.txt", Dev = "dev2.txt", Weight = 3 },
                    job.Job.Data[0] with { Name = "web", Train = "train3.txt", Dev = null, Trust = DataSource.ModelWritten }],
            });
        }
        unbroken.Train();
        // Two photos a step: 2 + 3 + 1 photos, then without those whose captions a model wrote 2 + 3, and as many self-critically.
        for (int step = 0; step < 3 + 3 + 3; step++)
            Assert.Throws<OperationCanceledException>(() => broken.Train(stopped: true));
        broken.Train(stopped: true);
        Assert.True(File.ReadAllBytes(unbroken.File("checkpoint.safetensors")).AsSpan().SequenceEqual(File.ReadAllBytes(broken.File("checkpoint.safetensors"))));
        var epochs = broken.Events().Where(e => e.Type == "epoch").Select(e => e.Data).ToArray();
        Assert.Equal([3, 6, 9], epochs.Select(e => e.GetProperty("step").GetInt32()));
        Assert.All(epochs, epoch =>
        {
            var sources = epoch.GetProperty("sources").EnumerateArray().ToArray();
            Assert.Equal(["own", "more"], sources.Select(s => s.GetProperty("name").GetString()));
            Assert.Equal(epoch.GetProperty("scores").GetProperty("cider").GetDouble(), sources.Average(s => s.GetProperty("scores").GetProperty("cider").GetDouble()), 1e-9);
            Assert.Equal(["rocket.jpg", "temple.jpg"], epoch.GetProperty("samples").EnumerateArray().Select(s => s.GetProperty("photo").GetString()));
        });
    }

    [Fact]
    public void Languages_learnt_together_leave_a_model_each_and_resume_bit_for_bit()
    {
        var options = JobFolder.Small with { Epochs = 2, SelfCriticalEpochs = 1 };
        using var unbroken = new JobFolder(features.Folder, options);
        using var broken = new JobFolder(features.Folder, options);
        foreach (var job in new[] { unbroken, broken })
        {
            // The other language has captions of three of the four photos, and of one of the two to choose by.
            File.WriteAllText(job.File("captions.de.txt"), "coffee.jpg#0\tEine Tasse Kaffee.\ncat.jpg#0\tEine Katze.\ncat.jpg#1\tGrüne Augen.\nflower.jpg#0\tEine Blume.\nrocket.jpg#0\tEine Rakete.\n");
            job.WriteJob(job.Job with { OtherLanguages = [new JobLanguage("samples-de", "de", "captions.de.txt")] });
        }
        unbroken.Train();
        // Two epochs of two steps of each language, then one of each alone.
        for (int step = 0; step < 2 * (2 + 2) + 2 + 2; step++)
            Assert.Throws<OperationCanceledException>(() => broken.Train(stopped: true));
        broken.Train(stopped: true);

        foreach (string file in new[] { "checkpoint.safetensors", "model/decoder.safetensors", "model/model.json", "model-de/decoder.safetensors", "model-de/model.json", "model-de/vocabulary.txt" })
            Assert.True(File.ReadAllBytes(unbroken.File(file)).AsSpan().SequenceEqual(File.ReadAllBytes(broken.File(file))), $"{file} differs");
        var told = broken.Events().Where(e => e.Type == "epoch").Select(e => $"{e.Data.GetProperty("epoch")} {e.Data.GetProperty("method")} {e.Data.GetProperty("language")}");
        Assert.Equal(["1 cross-entropy de", "1 cross-entropy en", "2 cross-entropy de", "2 cross-entropy en", "3 self-critical en", "4 self-critical de"], told);
        Assert.Equal(["best-de-", "best-en-"], Directory.GetFiles(broken.Folder, "best-*.safetensors").Select(f => Path.GetFileName(f)[..8]).Order());

        using var english = ModelBundle.Load(broken.File("model"));
        using var german = ModelBundle.Load(broken.File("model-de"));
        Assert.Equal(("samples-de", "de", 3), (german.Card.Name, german.Card.Language, german.Card.Training["photos"].GetInt32()));
        Assert.Equal(["en"], german.Card.Training["learntWith"].EnumerateArray().Select(l => l.GetString()));
        Assert.Equal(["de"], english.Card.Training["learntWith"].EnumerateArray().Select(l => l.GetString()));
        Assert.NotEqual(english.Vocabulary.Count, german.Vocabulary.Count);
        Assert.Contains(german.Vocabulary.Decode([.. Enumerable.Range(0, german.Vocabulary.Count)]), word => word.Contains("katze", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void Another_seed_or_option_makes_another_model()
    {
        var digests = new HashSet<string>();
        foreach (var options in new[]
        {
            JobFolder.Small, JobFolder.Small with { Seed = 8 }, JobFolder.Small with { Dropout = 0 },
            JobFolder.Small with { LabelSmoothing = 0 }, JobFolder.Small with { WeightAverage = 0 }, JobFolder.Small with { Schedule = "exponential" }, JobFolder.Small with { Mirror = true },
        })
        {
            using var job = new JobFolder(features.Folder, options with { Epochs = 2 });
            job.Train();
            // The last weights: the best may be of the first epoch, in which the learning rate's schedule has not begun.
            using var scope = NewDisposeScope();
            digests.Add(Convert.ToHexStringLower(SHA256.HashData([.. Safetensors.Load(job.File("checkpoint.safetensors")).OrderBy(t => t.Key, StringComparer.Ordinal).SelectMany(t => t.Value.bytes.ToArray())])));
        }
        Assert.Equal(7, digests.Count);
    }

    [Theory]
    [InlineData("show-and-tell", 64, 1, 60, 0.01)]
    [InlineData("show-attend-and-tell", 64, 1, 35, 0.01)]
    [InlineData("top-down", 96, 6, 200, 0.005)]
    public void Six_photos_are_learnt_by_heart(string architecture, int hidden, int batch, int epochs, double rate)
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with
        {
            Architecture = architecture,
            Hidden = hidden,
            Embedding = hidden / 2,
            Attention = 32,
            BatchPhotos = batch,
            Epochs = epochs,
            LearningRate = rate,
            WarmupSteps = 5,
            Dropout = 0,
            WeightAverage = 0,
            LabelSmoothing = 0,
            GradientNorm = 1,
        });
        OnBothSides(job);
        var card = job.Train();

        var told = job.Events().Where(e => e.Type == "epoch").ToArray();
        double first = told[0].Data.GetProperty("negativeLogLikelihood").GetDouble(), last = told[^1].Data.GetProperty("negativeLogLikelihood").GetDouble();
        output.WriteLine($"{architecture}: {told.Length} epochs, nll {first:F2} to {last:F2}, best epoch {card.Training["epoch"]}, dev CIDEr {card.Scores["cider"]:F2}");
        Assert.True(last < first / 4);
        Assert.Equal(1, card.Scores["verbatim"]);
        Assert.Equal(1, card.Scores["distinct"]);
        Assert.True(card.Scores["bleu4"] > 0.99);

        using var captioner = CaptionModel.Load(job.File("model"), precision: EncoderPrecision.Float32);
        Photo[] photos = [.. JobFolder.Captions.Keys.Select(n => Photo.Decode(File.ReadAllBytes(job.File(n + ".jpg"))))];
        var found = Captioner.Caption([.. photos.Select(photo => new CaptionJob(photo, new CaptionOptions { Count = 3, BeamWidth = 3 }, captioner))]).Photos;
        foreach (var (name, captions) in JobFolder.Captions.Keys.Zip(found))
        {
            output.WriteLine($"  {name}: {string.Join(" | ", captions.Select(c => c.Text))}");
            // Searched as the validation does. Which of them is first, the consensus says; the likeliest for its length is one that was learnt.
            Assert.Contains(captions.MaxBy(caption => caption.LogProbability / (caption.Words.Count + 1))!.Text, JobFolder.Captions[name]);
        }
    }

    [Fact]
    public void A_base_model_can_be_trained_self_critically_alone()
    {
        using var first = new JobFolder(features.Folder);
        first.Train();
        using var job = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 0, SelfCriticalEpochs = 1 });
        job.WriteJob(job.Job with { BaseModel = first.File("model") });
        job.Train();
        var told = job.Events().Where(e => e.Type == "epoch").ToArray();
        Assert.Equal([0, 1], told.Select(e => e.Data.GetProperty("epoch").GetInt32()));
        Assert.NotEqual(Sha256.OfFile(first.File("model/decoder.safetensors")), Sha256.OfFile(job.File("model/decoder.safetensors")));
    }

    [Fact]
    public void A_student_learns_what_its_teachers_expect()
    {
        using var first = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 20 });
        first.Train();
        // Nothing but the teachers' expectation is learnt, so the same seed ends elsewhere than with people's captions.
        var options = JobFolder.Small with { Dropout = 0, Seed = 8 };
        using var student = new JobFolder(features.Folder, options);
        student.WriteJob(student.Job with { Teachers = new Distillation([first.File("model"), first.File("model")], Share: 1) });
        using var alone = new JobFolder(features.Folder, options);
        student.Train();
        alone.Train();
        double[] losses = [.. new[] { student, alone }.Select(job => job.Events().Last(e => e.Type == "epoch").Data.GetProperty("negativeLogLikelihood").GetDouble())];
        Assert.NotEqual(losses[0], losses[1]);
        Assert.NotEqual(Sha256.OfFile(student.File("model/decoder.safetensors")), Sha256.OfFile(alone.File("model/decoder.safetensors")));

        student.WriteJob(student.Job with { Options = options with { MinWordCount = 2 } });
        Assert.Contains("other words", Assert.Throws<DatasetException>(() => student.Train()).Message);
    }

    [Fact]
    public void A_run_that_gets_no_better_stops_early_and_keeps_its_best_epoch()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 50, LearningRate = 1e-7, Patience = 2 });
        var card = job.Train();
        var epochs = job.Events().Where(e => e.Type == "epoch").ToArray();
        Assert.Equal(card.Training["epoch"].GetInt32() + 2, epochs.Length);
        Assert.InRange(epochs.Length, 3, 49);
        Assert.Equal(epochs.Max(e => e.Data.GetProperty("scores").GetProperty("cider").GetDouble()), card.Scores["cider"]);
        Assert.Equal(4, card.Training["photos"].GetInt32());
        Assert.Equal(2, card.Training["devPhotos"].GetInt32());
        Assert.Equal(9, card.Training["captions"].GetInt32());
        Assert.Equal(Sha256.OfFile(DefaultModels.EncoderPath), card.EncoderSha256);
    }

    [Fact]
    public void A_resumed_run_keeps_the_number_format_that_was_measured()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { Precision = "auto" });
        Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        using var scope = NewDisposeScope();
        string path = job.File("checkpoint.safetensors"), before = Position();
        string other = before.Contains("bfloat16", StringComparison.Ordinal) ? before.Replace("bfloat16", "float32", StringComparison.Ordinal) : before.Replace("float32", "bfloat16", StringComparison.Ordinal);
        Assert.NotEqual(before, other);
        Safetensors.Save(path, Safetensors.Load(path), new Dictionary<string, string> { ["position"] = other });
        Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        string format = other.Contains("bfloat16", StringComparison.Ordinal) ? "\"bfloat16\"" : "\"float32\"";
        Assert.Contains(format, Position());
        Assert.Contains("\"Step\":2", Position());

        string Position()
        {
            using var file = File.OpenRead(path);
            return Safetensors.ReadHeader(file).Metadata["position"];
        }
    }

    [Fact]
    public void A_checkpoint_of_another_job_is_not_resumed()
    {
        using var job = new JobFolder(features.Folder);
        Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        job.WriteJob(job.Job with { Options = job.Job.Options with { Seed = 99 } });
        using var fresh = new JobFolder(features.Folder, job.Job.Options);
        fresh.Train();
        job.Train();
        Assert.Equal(Sha256.OfFile(fresh.File("model/decoder.safetensors")), Sha256.OfFile(job.File("model/decoder.safetensors")));
    }

    [Fact]
    public void A_photo_whose_captions_hold_no_word_is_named()
    {
        using var job = new JobFolder(features.Folder);
        job.WriteData([("cat.jpg", "A cat."), ("coffee.jpg", "..."), ("coffee.jpg", "😀!"), ("rocket.jpg", "A rocket.")], ["cat.jpg", "coffee.jpg"], ["rocket.jpg"]);
        Assert.Contains("coffee.jpg", Assert.Throws<DatasetException>(() => job.Train()).Message);
    }

    [Fact]
    public void A_vocabulary_without_words_is_told()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { MinWordCount = 50 });
        Assert.Contains("minWordCount", Assert.Throws<DatasetException>(() => job.Train()).Message);
    }

    /// <summary>The six photos to learn from and, under other names, to choose by: the dev scores say whether they are known by heart.</summary>
    private static void OnBothSides(JobFolder job)
    {
        foreach (string name in JobFolder.Captions.Keys)
        {
            foreach (string copy in new[] { $"{name}.jpg", $"{name} again.jpg" })
                File.Copy(Path.Combine(JobFolder.Samples, name + ".jpg"), job.File(copy));
        }
        job.WriteData(JobFolder.Captions.SelectMany(p => p.Value.SelectMany(c => new[] { (p.Key + ".jpg", c), (p.Key + " again.jpg", c) })),
            [.. JobFolder.Captions.Keys.Select(n => n + ".jpg")], [.. JobFolder.Captions.Keys.Select(n => n + " again.jpg")]);
        job.WriteJob(job.Job with { Data = [job.Job.Data[0] with { Photos = "." }] });
    }
}
