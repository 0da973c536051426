using CaptionService.Captioning.Decoders;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Features;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Optimize;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

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
        using var served = Conv5.Load(DefaultModels.EncoderPath, adapter, CPU, EncoderPrecision.Float32);
        using var plain = Conv5.Load(DefaultModels.EncoderPath, null, CPU, EncoderPrecision.Float32);
        using var trunk = new PhotoEncoding(DefaultModels.EncoderPath, Pool4: true).Open();
        using var tuned = new TunedEncoder(DefaultModels.EncoderPath, EncoderAdapter.Load(job.File("model/adapter.safetensors")));
        tuned.Prepare(ScalarType.Float32);
        var pool4 = trunk.Encode(Vgg16.Pixels([Photo.Decode(File.ReadAllBytes(Path.Combine(JobFolder.Samples, "cat.jpg")))])).to(float32, copy: true);       // where it is float32 already, it came out of inference mode
        Tensor inService = served.Forward(pool4), inTraining = tuned.Forward(pool4), before = plain.Forward(pool4);
        double change = inService.sub(before).norm().item<float>(), difference = inService.sub(inTraining).norm().item<float>();
        Assert.True(difference < change / 100, $"{difference} of {change}");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_loss_falls_along_the_gradient_as_the_gradient_says(bool decoderLearns)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var tuned = new TunedEncoder(DefaultModels.EncoderPath, new EncoderAdapter(2));
        tuned.Prepare(ScalarType.Float32);
        using var decoder = CaptionDecoder.Create(new DecoderOptions { Architecture = "top-down", VocabularySize = 20, Embedding = 8, Hidden = 16, Heads = 4 });
        decoder.eval();
        foreach (var parameter in decoder.parameters())
            parameter.requires_grad_(decoderLearns);
        var pool4 = rand(2, Vgg16.Regions, Vgg16.Channels).times(10);
        using var packed = new PackedCaptions([[[5, 6, 7], [8]], [[9, 10]]], CPU);
        var factors = tuned.Adapter.parameters().ToArray();
        using (no_grad())
        {
            foreach (var b in factors.Where(p => p.shape[0] == Vgg16.Channels))
                b.normal_(0, 0.01);
        }
        var pass = decoder.Forward(tuned.Forward(pool4), packed);
        var logits = decoder.Logits(pass.Outputs);
        pass.Backward(logits, Losses.CrossEntropy(logits, packed.Targets, 0).Gradient);
        Tensor[] gradients = [.. factors.Select(f => f.grad!.clone())];
        Assert.All(gradients, g => Assert.True(g.norm().item<float>() > 0));
        Assert.All(decoder.parameters(), p => Assert.Equal(decoderLearns, p.grad is not null));
        double squared = gradients.Sum(g => g.mul(g).sum().to(float64).item<double>()), step = 1e-3 / Math.Sqrt(squared);
        Assert.Equal(squared, (Loss(step) - Loss(-2 * step)) / (2 * step), 0.03 * squared);

        // Moves the factors along the gradient, further each time.
        double Loss(double along)
        {
            using var noGrad = no_grad();
            for (int i = 0; i < factors.Length; i++)
                factors[i].plus_(gradients[i].times(along));
            return Losses.CrossEntropy(decoder.Logits(decoder.Forward(tuned.Forward(pool4), packed).Outputs), packed.Targets, 0).Loss.to(float64).item<double>();
        }
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

        // Learnt on, whatever rank is said here.
        using var further = Tune(tuned, rank: 2);
        further.Train();
        using (var adapter = EncoderAdapter.Load(further.File("model/adapter.safetensors")))
            Assert.Equal(4, adapter.Rank);
        Assert.NotEqual(File.ReadAllBytes(tuned.File("model/adapter.safetensors")), File.ReadAllBytes(further.File("model/adapter.safetensors")));

        using var student = new JobFolder(features.Folder);
        student.WriteJob(student.Job with { Teachers = new Distillation([tuned.File("model")]) });
        Assert.Contains("another encoder", Assert.Throws<DatasetException>(() => student.Train()).Message);
    }

    private JobFolder Tune(JobFolder from, int rank)
    {
        var job = new JobFolder(features.Folder, JobFolder.Small with { EncoderRank = rank, FreezeDecoder = true, LearningRate = 1e-3 });
        job.WriteJob(job.Job with { BaseModel = from.File("model") });
        return job;
    }
}
