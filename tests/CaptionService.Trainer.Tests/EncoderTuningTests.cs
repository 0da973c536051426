using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Training;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests;

/// <summary>Runs that learn of the encoder too.</summary>
public sealed class EncoderTuningTests(SharedFeatures features)
{
    [Fact]
    public void With_the_decoder_frozen_only_the_encoder_learns_and_the_service_sees_what_training_saw()
    {
        using var first = new JobFolder(features.Folder);
        first.Train();
        using var job = Tune(first, rank: 4);
        var card = job.Train();
        foreach (string file in new[] { "decoder.safetensors", "vocabulary.txt" })
            Assert.Equal(File.ReadAllBytes(first.File($"model/{file}")), File.ReadAllBytes(job.File($"model/{file}")));
        Assert.Contains("adapter.safetensors", card.Files.Keys);
        double[] losses = [.. job.Events().Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("devNegativeLogLikelihood").GetDouble())];
        Assert.Equal(losses.Length, losses.Distinct().Count());

        // Two ways to the same places: A and B one after the other, as in training, and their product added to the weights, as in service.
        using var scope = NewDisposeScope();
        using var adapter = EncoderAdapter.Load(job.File("model/adapter.safetensors"));
        Assert.True(adapter.Change(28).abs().max().item<float>() > 0);
        using var served = Conv5.Load(Captioner.DefaultEncoderPath, adapter, CPU, EncoderPrecision.Float32);
        using var plain = Conv5.Load(Captioner.DefaultEncoderPath, null, CPU, EncoderPrecision.Float32);
        using var trunk = new PhotoEncoding(Captioner.DefaultEncoderPath, Pool4: true).Open();
        using var tuned = new TunedEncoder(Captioner.DefaultEncoderPath, EncoderAdapter.Load(job.File("model/adapter.safetensors")));
        tuned.Prepare(ScalarType.Float32);
        var pool4 = trunk.See(Vgg16.Pixels([Photo.Decode(File.ReadAllBytes(Path.Combine(JobFolder.Samples, "cat.jpg")))])).to(float32);
        Tensor inService = served.Forward(pool4), inTraining = tuned.See(pool4), before = plain.Forward(pool4);
        double change = inService.sub(before).norm().item<float>(), difference = inService.sub(inTraining).norm().item<float>();
        Assert.True(difference < change / 100, $"{difference} of {change}");
    }

    [Fact]
    public void The_gradient_of_the_change_is_the_same_with_and_without_the_decoders()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var tuned = new TunedEncoder(Captioner.DefaultEncoderPath, new EncoderAdapter(2));
        tuned.Prepare(ScalarType.Float32);
        using var decoder = Captioning.Decoders.CaptionDecoder.Create(new() { Architecture = "top-down", VocabularySize = 20, Embedding = 8, Hidden = 16, Heads = 4 });
        decoder.eval();
        var pool4 = rand(2, Vgg16.Places, Vgg16.Channels).mul(10);
        Tensor[] gradients = [.. new[] { true, false }.Select(learns =>
        {
            foreach (var parameter in decoder.parameters())
                parameter.requires_grad_(learns);
            using var packed = new Captioning.Decoders.PackedCaptions([[[5, 6, 7], [8]], [[9, 10]]], CPU);
            var pass = decoder.Forward(tuned.See(pool4), packed);
            var logits = decoder.Logits(pass.Outputs);
            pass.Backward(logits, Losses.CrossEntropy(logits, packed.Targets, 0).Gradient);
            var b = tuned.Adapter.parameters().First(p => p.shape[0] == Vgg16.Channels);
            var gradient = b.grad!.clone();
            foreach (var parameter in tuned.Adapter.parameters().Concat(decoder.parameters()))
                parameter.grad = null;
            return gradient;
        })];
        Assert.True(gradients[0].abs().max().item<float>() > 0);
        Assert.True(gradients[0].allclose(gradients[1], 1e-4, 1e-7));
    }

    [Fact]
    public void A_model_with_a_changed_encoder_is_trained_on_from_there()
    {
        using var first = new JobFolder(features.Folder);
        first.Train();
        using var tuned = Tune(first, rank: 4);
        tuned.Train();

        // Its encoder as it is: only the decoder learns, from what that encoder sees.
        using var kept = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 1 });
        kept.WriteJob(kept.Job with { BaseModel = tuned.File("model") });
        kept.Train();
        Assert.Equal(File.ReadAllBytes(tuned.File("model/adapter.safetensors")), File.ReadAllBytes(kept.File("model/adapter.safetensors")));
        double end = tuned.Events().Last(e => e.Type == "epoch" && e.Data.GetProperty("epoch").GetInt32() == tuned.Best()).Data.GetProperty("devNegativeLogLikelihood").GetDouble();
        Assert.Equal(end, kept.Events().First(e => e.Type == "epoch").Data.GetProperty("devNegativeLogLikelihood").GetDouble(), 1e-2);

        using var other = Tune(tuned, rank: 2);
        Assert.Contains("rank 4", Assert.Throws<DatasetException>(() => other.Train()).Message);

        using var pupil = new JobFolder(features.Folder);
        pupil.WriteJob(pupil.Job with { Teachers = new Teaching([tuned.File("model")]) });
        Assert.Contains("another encoder", Assert.Throws<DatasetException>(() => pupil.Train()).Message);
    }

    private JobFolder Tune(JobFolder from, int rank)
    {
        var job = new JobFolder(features.Folder, JobFolder.Small with { EncoderRank = rank, FreezeDecoder = true, LearningRate = 1e-3 });
        job.WriteJob(job.Job with { BaseModel = from.File("model") });
        return job;
    }
}
