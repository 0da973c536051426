using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;
using Xunit;

namespace CaptionService.Trainer.Tests.Job;

public sealed class DatasetTests : IDisposable
{
    private readonly JobFolder _job = new("features");

    public void Dispose() => _job.Dispose();

    [Fact]
    public void Splits_hold_their_photos_with_their_captions_in_the_order_listed()
    {
        File.WriteAllText(_job.File("captions.txt"),
            "\uFEFFcat.jpg#0\ttwo  words \r\n\n  \ncat.jpg#1\t\ncoffee.jpg#0\ta\ttab\nrocket.jpg#0\tone # sign\ncat.jpg#2\tä 猫\ntemple.jpg#0\tnot listed\n");
        File.WriteAllText(_job.File("train.txt"), "coffee.jpg\r\n\n cat.jpg \ncoffee.jpg\nabsent.jpg\nastronaut.jpg\n");
        File.WriteAllText(_job.File("dev.txt"), "rocket.jpg");
        var data = Load();
        Assert.Equal(["coffee.jpg", "cat.jpg"], data.Train.Select(p => p.Name));
        Assert.Equal(["a\ttab"], data.Train[0].Captions);
        Assert.Equal(["two  words", "ä 猫"], data.Train[1].Captions);
        Assert.Equal(Path.Combine(JobFolder.Samples, "cat.jpg"), data.Train[1].Path);
        Assert.Equal(["one # sign"], Assert.Single(data.Dev).Captions);
        Assert.Same(data.Dev, data.Split("dev"));
        Assert.Same(data.Train, data.Split("train"));
        Assert.Contains("'test'", Assert.Throws<DatasetException>(() => data.Split("test")).Message);
    }

    [Fact]
    public void The_same_photos_get_the_captions_of_another_language_where_it_has_some()
    {
        var companion = new JobLanguage("samples-de", "de", "captions.de.txt");
        File.WriteAllText(_job.File("captions.de.txt"), "coffee.jpg#0\tKaffee\ncat.jpg#0\tEine Katze\nrocket.jpg#0\tEine Rakete\nabsent.jpg#0\tNichts\n");
        var german = Dataset.Load(companion.Sources(_job.Job), _job.Folder);
        Assert.Equal(["cat.jpg", "coffee.jpg"], german.Train.Select(p => p.Name));
        Assert.Equal(["Eine Katze"], german.Train[0].Captions);
        Assert.Equal(Load().Train[1].Path, german.Train[0].Path);
        Assert.Equal(["rocket.jpg"], german.Dev.Select(p => p.Name));
        File.WriteAllText(_job.File("captions.de.txt"), "coffee.jpg#0\tKaffee\n");
        Assert.Contains("1 training and 0 development photos", Assert.Throws<DatasetException>(() => Dataset.Load(companion.Sources(_job.Job), _job.Folder)).Message);
    }

    [Fact]
    public void Several_sources_follow_each_other_in_the_splits()
    {
        var data = Load(Second("dev2.txt") with { Name = "more", Weight = 0.5 });
        Assert.Equal(["astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg", "copy.jpg"], data.Train.Select(p => p.Name));
        Assert.Equal(["rocket.jpg", "temple.jpg", "other.jpg"], data.Dev.Select(p => p.Name));
        Assert.Equal([new Source("source 1", 1, false, 0..4, 0..2), new Source("more", 0.5, false, 4..5, 2..3)], data.Sources);
        Assert.Equal(0, data.Leaked);
        Assert.Equal(["rocket.jpg", "temple.jpg"], Load(Second(null)).Dev.Select(p => p.Name));

        // What a model wrote is not judged by, whatever the source names.
        File.WriteAllText(_job.File("test.txt"), "other.jpg\n");
        var web = Load(Second("dev2.txt") with { Trust = "model" });
        Assert.Equal(["rocket.jpg", "temple.jpg"], web.Dev.Select(p => p.Name));
        Assert.Empty(web.Test);
        Assert.Equal(new Source("source 2", 1, true, 4..5, 2..2), web.Sources[1]);
    }

    [Fact]
    public void A_training_photo_that_another_source_judges_by_is_left_out()
    {
        File.Copy(Path.Combine(JobFolder.Samples, "temple.jpg"), Path.Combine(_job.Folder, "copy.jpg"), overwrite: true);
        var data = Load(Second(null, copy: "temple.jpg"));
        Assert.Equal(["astronaut.jpg", "cat.jpg", "coffee.jpg", "flower.jpg"], data.Train.Select(p => p.Name));
        Assert.Equal((1, 4..4), (data.Leaked, data.Sources[1].Train));
    }

    // Two photos in the job's own folder, one to learn from and one to judge by.
    private DataSource Second(string? dev, string copy = "cat.jpg")
    {
        File.Copy(Path.Combine(JobFolder.Samples, copy), Path.Combine(_job.Folder, "copy.jpg"), overwrite: true);
        File.Copy(Path.Combine(JobFolder.Samples, "coffee.jpg"), Path.Combine(_job.Folder, "other.jpg"), overwrite: true);
        File.AppendAllText(Path.Combine(_job.Folder, "other.jpg"), "not the same file");
        File.WriteAllText(_job.File("captions2.txt"), "copy.jpg#0\tone\nother.jpg#0\ttwo\n");
        File.WriteAllText(_job.File("train2.txt"), "copy.jpg\n");
        File.WriteAllText(_job.File("dev2.txt"), "other.jpg\n");
        return new DataSource(".", "captions2.txt", "train2.txt", dev);
    }

    [Theory]
    [InlineData("no tab")]
    [InlineData("no number\tcaption")]
    [InlineData("\tcaption")]
    [InlineData("#0\tcaption")]
    [InlineData("photo.jpg\tcaption #1")]
    public void A_malformed_line_is_told_with_its_number(string line)
    {
        File.WriteAllText(_job.File("captions.txt"), $"cat.jpg#0\tone\n\n{line}\ncat.jpg#1\ttwo\n");
        var refused = Assert.Throws<DatasetException>(() => Load());
        Assert.StartsWith("Line 3 of captions.txt ", refused.Message);
    }

    [Theory]
    [InlineData("captions.txt")]
    [InlineData("train.txt")]
    [InlineData("dev.txt")]
    public void A_missing_file_is_named(string file)
    {
        File.Delete(_job.File(file));
        Assert.Contains(file, Assert.Throws<DatasetException>(() => Load()).Message);
    }

    [Fact]
    public void Missing_photos_are_counted_and_named()
    {
        _job.WriteData(Enumerable.Range(0, 7).Select(i => ($"gone{i}.jpg", "text")).Append(("cat.jpg", "text")), [.. Enumerable.Range(0, 7).Select(i => $"gone{i}.jpg")], ["cat.jpg"]);
        var refused = Assert.Throws<DatasetException>(() => Load());
        Assert.StartsWith("7 photos are missing, gone0.jpg, ", refused.Message);
    }

    [Fact]
    public void Photos_in_both_splits_are_named()
    {
        File.AppendAllText(_job.File("dev.txt"), "cat.jpg\n");
        Assert.StartsWith("1 photo is in both splits, cat.jpg ", Assert.Throws<DatasetException>(() => Load()).Message);
    }

    [Theory]
    [InlineData("train.txt", "0 training and 2 development")]
    [InlineData("dev.txt", "4 training and 0 development")]
    public void An_empty_split_is_refused(string file, string told)
    {
        File.WriteAllText(_job.File(file), "\nphoto without a caption.jpg\n");
        Assert.Contains(told, Assert.Throws<DatasetException>(() => Load()).Message);
    }

    private Dataset Load(params DataSource[] others) => Dataset.Load([.. _job.Job.Data, .. others], _job.Folder);
}
