using CaptionService.Captioning.Files;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

/// <summary>Runs that start from a model, and steps of single captions.</summary>
public sealed class BaseModelTests(SharedFeatures features)
{
    [Fact]
    public void A_run_from_a_model_keeps_its_words_and_network_and_resumes_bit_for_bit()
    {
        using var first = new JobFolder(features.Folder);
        var made = first.Train();
        using var unbroken = From(first.File("model"));
        using var broken = From(first.File("model"));
        var card = unbroken.Train();
        while (true)
        {
            try
            {
                broken.Train(stopped: true);
                break;
            }
            catch (OperationCanceledException)
            {
                // a step further
            }
        }
        Assert.Equal(made.Decoder, card.Decoder);
        Assert.Equal("samples@1", card.Training["baseModel"].GetString());
        Assert.Equal(File.ReadAllText(first.File("model/vocabulary.txt")), File.ReadAllText(unbroken.File("model/vocabulary.txt")));
        Assert.NotEqual(Sha256.OfFile(first.File("model/decoder.safetensors")), Sha256.OfFile(unbroken.File("model/decoder.safetensors")));
        Assert.Equal(Sha256.OfFile(unbroken.File("model/decoder.safetensors")), Sha256.OfFile(broken.File("model/decoder.safetensors")));

        // Epoch 0 is what the model said before.
        var before = unbroken.Events().First(e => e.Type == "epoch");
        Assert.Equal(0, before.Data.GetProperty("epoch").GetInt32());
        Assert.Equal(made.Scores["cider"], before.Data.GetProperty("scores").GetProperty("cider").GetDouble(), 1e-3);
        Assert.Single(broken.Events(), e => e.Type == "epoch" && e.Data.GetProperty("epoch").GetInt32() == 0);
    }

    [Fact]
    public void Words_that_are_new_to_the_model_are_learnt_after_its_own()
    {
        using var first = new JobFolder(features.Folder);
        var made = first.Train();
        using var job = From(first.File("model"));
        File.AppendAllText(job.File("captions.txt"), "cat.jpg#9\tA Giraffe beside a giraffe.\ncat.jpg#8\tA giraffe and a zebra.\n");
        job.WriteJob(job.Job with { Options = job.Job.Options with { NewWords = true, MinWordCount = 2 } });
        var card = job.Train();
        string[] own = File.ReadAllLines(first.File("model/vocabulary.txt")), all = File.ReadAllLines(job.File("model/vocabulary.txt"));
        Assert.Equal([.. own, "giraffe"], all);                     // zebra comes once
        Assert.Equal(made.Decoder with { VocabularySize = own.Length + 1 }, card.Decoder);

        // What the model says before it has learnt is what it said without the word.
        var before = job.Events().First(e => e.Type == "epoch");
        Assert.Equal(made.Scores["cider"], before.Data.GetProperty("scores").GetProperty("cider").GetDouble(), 1e-3);
    }

    [Fact]
    public void Weights_that_may_go_back_lie_between_the_models_and_the_learnt_ones()
    {
        using var first = new JobFolder(features.Folder);
        first.Train();
        using var all = From(first.File("model"));
        using var part = From(first.File("model"));
        part.WriteJob(part.Job with { Options = part.Job.Options with { GiveUp = 1 } });        // any share of the gain will do
        all.Train();
        var card = part.Train();
        var told = Assert.Single(part.Events(), e => e.Type == "moved-back").Data;
        double share = told.GetProperty("share").GetDouble();
        Assert.Equal(share, card.Training["shareOfTheWay"].GetDouble());
        double before = told.GetProperty("ciderBefore").GetDouble(), learnt = told.GetProperty("ciderLearnt").GetDouble(), now = told.GetProperty("cider").GetDouble();
        Assert.True(learnt > before && share is >= 0.25 and < 1 && now >= before, $"from {before} to {learnt}, back to {now} at {share}");

        using var scope = NewDisposeScope();
        var (start, end, between) = (Weights(first), Weights(all), Weights(part));
        foreach (var (name, weight) in between)
            Assert.True(weight.sub(start[name].lerp(end[name], (float)share)).abs().max().item<float>() < 2e-3, name);      // all three are saved in fp16

        static Dictionary<string, Tensor> Weights(JobFolder job) => Safetensors.Load(job.File("model/decoder.safetensors")).ToDictionary(t => t.Key, t => t.Value.to(ScalarType.Float32));
    }

    [Fact]
    public void A_model_of_another_language_is_refused()
    {
        using var first = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 1 });
        first.Train();
        using var german = From(first.File("model"));
        german.WriteJob(german.Job with { Language = "de" });
        Assert.Contains("'de'", Assert.Throws<DatasetException>(() => german.Train()).Message);
    }

    [Fact]
    public void A_model_without_self_critical_training_is_refused_before_any_step()
    {
        using var first = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 1, Architecture = "show-and-tell" });
        first.Train();
        using var job = From(first.File("model"));
        job.WriteJob(job.Job with { Options = job.Job.Options with { SelfCriticalEpochs = 1 } });
        Assert.Contains("selfCriticalEpochs", Assert.Throws<DatasetException>(() => job.Train()).Message);
        Assert.DoesNotContain(job.Events(), e => e.Type == "epoch");
    }

    [Fact]
    public void Steps_can_be_of_captions_instead_of_photos()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { BatchCaptions = 4, Epochs = 2, Architecture = "show-and-tell" });
        job.Train();
        Assert.Equal([3, 6], job.Events().Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("step").GetInt32()));      // nine captions
    }

    private JobFolder From(string model)
    {
        var job = new JobFolder(features.Folder, JobFolder.Small with { Hidden = 512, LearningRate = 1e-3 });      // the network's size is the model's, whatever is said here
        job.WriteJob(job.Job with { BaseModel = model });
        return job;
    }
}
