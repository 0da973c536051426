using System.Globalization;
using System.Security.Cryptography;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Files;
using CaptionService.Trainer.Job;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Train;

/// <summary>Steps and weights that are not numbers.</summary>
public sealed class NotANumberTests(SharedFeatures features)
{
    [Fact]
    public void A_step_without_a_number_is_left_out_and_the_run_goes_on()
    {
        using var job = new JobFolder(features.Folder);
        job.Train();
        Break(job, rows: 1);
        var card = job.Train();
        var epochs = job.Events().Where(e => e.Type == "epoch").ToArray();
        Assert.Equal(3, epochs.Length);
        Assert.All(epochs, e => Assert.InRange(e.Data.GetProperty("loss").GetDouble(), 1, 10));
        Assert.Equal(4, card.Training["photos"].GetInt32());
    }

    [Fact]
    public void Twenty_steps_without_a_number_end_the_run_with_advice_also_when_it_is_resumed()
    {
        using var job = new JobFolder(features.Folder, JobFolder.Small with { Epochs = 60 });
        Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        Break(job, rows: 4);
        for (int step = 0; step < 5; step++)
            Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        Assert.Contains("learningRate", Assert.Throws<CollapsedException>(() => job.Train()).Message);
        Assert.Equal(10, job.Events().Count(e => e.Type == "epoch"));      // of two steps; the first step was whole
    }

    [Fact]
    public void Weights_that_are_no_numbers_are_a_collapse_too()
    {
        using var job = new JobFolder(features.Folder);
        Assert.Throws<OperationCanceledException>(() => job.Train(stopped: true));
        using (NewDisposeScope())
        {
            string path = job.File("checkpoint.safetensors"), position;
            using (var file = File.OpenRead(path))
                position = Safetensors.ReadHeader(file).Metadata["position"];
            var tensors = Safetensors.Load(path);
            foreach (string name in new[] { "weights.output.bias", "adam.average.output.bias" })
                tensors[name].copy_(tensor(float.NaN));
            Safetensors.Save(path, tensors, new Dictionary<string, string> { ["position"] = position });
        }
        Assert.Contains("learningRate", Assert.Throws<CollapsedException>(() => job.Train()).Message);
    }

    /// <summary>Gives the job a cache of its own in which the first training photos are no numbers, digests and all.</summary>
    private void Break(JobFolder job, int rows)
    {
        const int PhotoBytes = Vgg16.Regions * Vgg16.Channels * 2;
        string folder = Directory.CreateDirectory(job.File("features")).FullName;
        var broken = Dataset.Load(job.Job.Data, job.Folder).Train.Take(rows).Select(photo => photo.Sha256).ToHashSet();
        foreach (string file in Directory.GetFiles(features.Folder, "*.features"))
        {
            byte[] bytes = File.ReadAllBytes(file);
            var index = File.ReadAllLines(file + ".index").Select(line => line.Split(' ')).Where(line => line.Length == 3).Select(line =>
            {
                var row = bytes.AsSpan(int.Parse(line[1], CultureInfo.InvariantCulture) * PhotoBytes, PhotoBytes);
                if (!broken.Contains(line[0]))
                    return string.Join(' ', line);
                row.Fill(0xFF);
                return $"{line[0]} {line[1]} {Convert.ToHexStringLower(SHA256.HashData(row))}";
            }).ToArray();
            File.WriteAllBytes(Path.Combine(folder, Path.GetFileName(file)), bytes);
            File.WriteAllLines(Path.Combine(folder, Path.GetFileName(file) + ".index"), index);
        }
        foreach (string file in Directory.GetFiles(job.Folder).Where(f => rows == 1 && (f.Contains("events", StringComparison.Ordinal) || f.Contains("checkpoint", StringComparison.Ordinal))))
            File.Delete(file);
        job.WriteJob(job.Job with { Features = "features" });
    }
}
