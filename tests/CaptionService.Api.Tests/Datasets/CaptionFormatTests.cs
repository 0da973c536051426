using System.Text;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using TorchSharp;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>Each format of captions, recognised by content and brought into the canonical form.</summary>
public sealed class CaptionFormatTests : CanonicalFormCase
{
    [Fact]
    public async Task Flickr_tokens()
    {
        AddPhotos();
        AddText("results.token", "a.jpg#0\tA  dog .\r\na.jpg#1\tTwo dogs\r\n\r\nb.jpg#0\tA cat # 1\r\nc.jpg#0\t\r\nd.jpg#0\tUn été\r\n");

        DatasetImport import = await Write();

        Assert.Equal(("flickr", 4, 5, "made"), (import.Format, import.PhotoFiles, import.CaptionLines, import.SplitsFrom));
        Assert.Equal(["a.jpg#0\tA dog .", "a.jpg#1\tTwo dogs", "b.jpg#0\tA cat # 1", "d.jpg#0\tUn été"], Lines(DatasetFolder.Captions));
        Assert.Equal(["empty_captions", "photos_without_captions"], import.Findings.Select(f => f.Code).Order());
        Assert.Single(Lines(DatasetFolder.Dev));
        Assert.Equal(["a.jpg", "b.jpg", "d.jpg"], Lines(DatasetFolder.Train).Concat(Lines(DatasetFolder.Dev)).Order());
    }

    [Fact]
    public async Task Flickr8k_with_its_lists_of_names_and_its_lemmas()
    {
        AddPhotos("Flicker8k_Dataset/");
        AddText("Flickr8k.token.txt", string.Concat(Photos.Select(p => $"{p}#0\tOne dog\n")));
        AddText("Flickr8k.lemma.token.txt", string.Concat(Photos.Select(p => $"{p}#0\tone dog\n")));
        AddText("Flickr_8k.trainImages.txt", "a.jpg\nb.jpg\n");
        AddText("Flickr_8k.devImages.txt", "c.jpg\n");
        AddText("Flickr_8k.testImages.txt", "d.jpg\n");
        AddText("readme.txt", "Please cite the training of this data set.\n");

        DatasetImport import = await Write();

        Assert.Equal("data", import.SplitsFrom);
        Assert.Equal(["a.jpg", "b.jpg"], Lines(DatasetFolder.Train));
        Assert.Equal(["c.jpg"], Lines(DatasetFolder.Dev));
        Assert.Equal(["d.jpg"], Lines(DatasetFolder.Test));
        Assert.Equal(["Flickr8k.lemma.token.txt", "readme.txt"], Assert.Single(import.Findings, f => f.Code == "ignored_files").Examples.Order());
        Assert.StartsWith("a.jpg#0\tOne dog", Lines(DatasetFolder.Captions)[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Coco_with_a_file_for_each_split()
    {
        AddPhotos("train2014/");
        AddText("annotations/captions_train2014.json", """{"info":{"year":2014},"licenses":[],"images":[{"id":7,"file_name":"a.jpg","height":1},{"id":"8","file_name":"b.jpg"}],"annotations":[{"image_id":8,"id":1,"caption":"A cat\n sits"},{"image_id":7,"id":2,"caption":"A dog"},{"image_id":7,"id":3,"caption":"Two dogs"}]}""");
        AddText("annotations/captions_val2014.json", """
            {
              "images": [ { "id": 9, "file_name": "c.jpg" } ],
              "annotations": [ { "image_id": 9, "caption": "A bird" }, { "image_id": 10, "caption": "Nothing" } ]
            }
            """);

        DatasetImport import = await Write();

        Assert.Equal(("coco", "data"), (import.Format, import.SplitsFrom));
        Assert.Equal(["b.jpg#0\tA cat sits", "a.jpg#0\tA dog", "a.jpg#1\tTwo dogs", "c.jpg#0\tA bird"], Lines(DatasetFolder.Captions));
        Assert.Equal(["b.jpg", "a.jpg"], Lines(DatasetFolder.Train));
        Assert.Equal(["c.jpg"], Lines(DatasetFolder.Dev));
        Assert.Equal(["10"], Assert.Single(import.Findings, f => f.Code == "captions_without_photo").Examples);
    }

    [Fact]
    public async Task Karpathy_with_its_splits()
    {
        AddPhotos("val2014/");
        AddText("dataset.json", """{"dataset":"coco","images":[{"filepath":"val2014","filename":"a.jpg","split":"restval","sentences":[{"tokens":["a","dog"],"raw":"A dog."},{"tokens":["two","dogs"]}]},{"filename":"b.jpg","split":"val","sentences":[{"raw":"A cat."}]},{"filename":"c.jpg","split":"train","sentences":[{"raw":"A bird."}]},{"filename":"d.jpg","split":"test","sentences":[{"raw":"A horse."}]}]}""");

        DatasetImport import = await Write();

        Assert.Equal(("karpathy", "data"), (import.Format, import.SplitsFrom));
        Assert.Equal(["a.jpg#0\tA dog.", "a.jpg#1\ttwo dogs", "b.jpg#0\tA cat.", "c.jpg#0\tA bird.", "d.jpg#0\tA horse."], Lines(DatasetFolder.Captions));
        Assert.Equal(["a.jpg", "c.jpg"], Lines(DatasetFolder.Train));
        Assert.Equal(["b.jpg"], Lines(DatasetFolder.Dev));
        Assert.Equal(["d.jpg"], Lines(DatasetFolder.Test));
    }

    [Theory]
    [InlineData("image,caption\na.jpg,\"A dog, \"\"Rex\"\"\"\nb.jpg,\"A cat\non two lines\"\nc.jpg,A bird, unquoted\n")]
    [InlineData("File;Id;Text\na.jpg;1;A dog, \"Rex\"\nb.jpg;2;A cat on two lines\nc.jpg;3;A bird, unquoted\n")]
    [InlineData("\uFEFFfilename\tcaption\r\na.jpg\tA dog, \"Rex\"\r\nb.jpg\tA cat on two lines\r\nc.jpg\tA bird, unquoted\r\n")]
    [InlineData("image_name| comment_number| comment\na.jpg| 0| A dog, \"Rex\"\nb.jpg| 0|A cat on two lines\nc.jpg| 0| A bird, unquoted\n")]
    public async Task Tables_with_a_header(string table)
    {
        AddPhotos();
        AddText("captions", table);

        Assert.Equal("table", (await Write()).Format);
        Assert.Equal(["a.jpg#0\tA dog, \"Rex\"", "b.jpg#0\tA cat on two lines", "c.jpg#0\tA bird, unquoted"], Lines(DatasetFolder.Captions));
    }

    [Fact]
    public async Task Tables_with_splits_in_UTF_16()
    {
        AddPhotos();
        Add("captions.csv", Encoding.Unicode.GetPreamble().Concat(Encoding.Unicode.GetBytes("photo,split,caption\na.jpg,train,Ein Hund\nb.jpg,validation,Eine Katze\nc.jpg,train,Übung\n")).ToArray());

        Assert.Equal("data", (await Write("de")).SplitsFrom);
        Assert.Equal(["a.jpg", "c.jpg"], Lines(DatasetFolder.Train));
        Assert.Equal(["b.jpg"], Lines(DatasetFolder.Dev));
        Assert.Contains("c.jpg#0\tÜbung", Lines(DatasetFolder.Captions));
    }

    [Fact]
    public async Task Json_lines()
    {
        AddPhotos();
        AddText("metadata.jsonl", "{\"file_name\":\"a.jpg\",\"text\":\"A dog\",\"split\":\"train\"}\n\n{\"image\":\"b.jpg\",\"caption\":[\"A cat\",\"Two \\ud83d\\udc31 cats\"],\"split\":\"val\"}\n");

        Assert.Equal("json-lines", (await Write()).Format);
        Assert.Equal(["a.jpg#0\tA dog", "b.jpg#0\tA cat", "b.jpg#1\tTwo \U0001F431 cats"], Lines(DatasetFolder.Captions));
        Assert.Equal(["b.jpg"], Lines(DatasetFolder.Dev));
    }

    [Fact]
    public async Task Json_lists()
    {
        AddPhotos();
        AddText("train.json", """[ {"image":"a.jpg","caption":"A dog"}, {"image":"x/b.jpg","caption":["A cat","Two cats"]} ]""");

        Assert.Equal("json-list", (await Write()).Format);
        Assert.Equal(3, Lines(DatasetFolder.Captions).Length);
    }

    [Theory]
    [InlineData(4)]     // a row for each photo
    [InlineData(6)]     // a row for each caption line
    public async Task The_seeds_pair_needs_no_photos(int rows)
    {
        AddText("results_20130124.token", "a.jpg#0\tone dog\na.jpg#1\ttwo dogs\nb.jpg#0\tone cat\nc.jpg#0\t.\nd.jpg#0\tone cow\nd.jpg#1\ttwo cows\n");
        AddArray("feats.npy", rows, torch.ScalarType.Float16);

        DatasetImport import = await Write();

        Assert.Equal((0, 6), (import.PhotoFiles, import.CaptionLines));
        Assert.Equal(["a.jpg", "b.jpg", "d.jpg"], Lines(DatasetFolder.Names));
        using var scope = torch.NewDisposeScope();
        torch.Tensor features = Npy.Load(Path.Combine(Folder, "out", DatasetFolder.Features));
        Assert.Equal(rows == 4 ? [0, 1, 3] : [0, 2, 4], features.select(1, 0).to(torch.ScalarType.Float32).data<float>().ToArray());
        Assert.Equal(torch.ScalarType.Float16, features.dtype);
        Assert.Equal(["empty_captions"], import.Findings.Select(f => f.Code));
    }

    [Fact]
    public async Task Of_two_arrays_the_one_with_a_row_a_photo_is_taken()
    {
        AddText("captions.token", "a.jpg#0\tone dog\na.jpg#1\ttwo dogs\nb.jpg#0\tone cat\n");
        AddArray("feats.npy", 3, torch.ScalarType.Float32);
        AddArray("feats-per-image.npy", 2, torch.ScalarType.Float32);

        Assert.Equal(["feats.npy"], Assert.Single((await Write()).Findings, f => f.Code == "ignored_files").Examples);
        Assert.Equal(2, Lines(DatasetFolder.Names).Length);
    }

    [Fact]
    public async Task Features_of_another_length_are_refused()
    {
        AddText("captions.token", "a.jpg#0\tone dog\nb.jpg#0\tone cat\n");
        AddArray("feats.npy", 5, torch.ScalarType.Float32);

        await Refused(ProblemTable.FeaturesMismatch, "5 rows");
    }

    [Fact]
    public async Task Of_several_languages_the_data_sets_own_is_taken()
    {
        AddPhotos();
        AddText("captions.en.token.txt", "a.jpg#0\tone dog\nb.jpg#0\tone cat\n");
        AddText("captions.de.token.txt", "a.jpg#0\tein Hund\nb.jpg#0\teine Katze\n");

        await Write("de");
        Assert.Equal("a.jpg#0\tein Hund", Lines(DatasetFolder.Captions)[0]);
    }

    [Fact]
    public async Task Several_files_of_captions_without_a_reason_are_refused()
    {
        AddPhotos();
        AddText("one.token", "a.jpg#0\tone dog\n");
        AddText("two.csv", "image,caption\na.jpg,one dog\n");

        await Refused(ProblemTable.AmbiguousCaptions, "'one.token', 'two.csv'");
    }

    [Theory]
    [InlineData("flickr", "a.jpg#0\tone\nno tab here\nnor here\n", "line 2")]
    [InlineData("csv", "image,caption\na.jpg,one\nb.jpg\nc.jpg\n", "line 3")]
    [InlineData("csv", "image,caption\na.jpg,\"open\n", "line 2")]
    [InlineData("jsonl", "{\"image\":\"a.jpg\",\"caption\":\"one\"}\n{\"image\":\"a.jpg\"}\n{}\n", "line 2")]
    [InlineData("jsonl", "{\"image\":\"a.jpg\",\"caption\":\"one\"}\n{\"image\"\n{\n", "line 2")]
    [InlineData("jsonl", "{\"image\":\"a.jpg\",\"caption\":\"one\"}\n{\"image\":\"a.jpg\",\"caption\":\"\\ud83d\"}\n{}\n", "line 2")]
    [InlineData("json", "{\"images\":[{\"id\":1,\n\"file_name\":\"a.jpg\"}],\"annotations\":[", "line 2")]
    [InlineData("json", "[{\"image\":\"a.jpg\"}]", "item 1")]
    public async Task What_is_malformed_is_told_with_its_place(string extension, string text, string where)
    {
        AddPhotos();
        AddText("captions." + extension, text);

        await Refused(ProblemTable.BrokenCaptions, where);
    }

    [Fact]
    public async Task No_captions_no_photos_and_nothing_that_fits_are_told_apart()
    {
        AddPhotos();
        AddText("readme.txt", "These are photos.\n");
        await Refused(ProblemTable.NoCaptions, "5 files");
        AddText("captions.token", "z.jpg#0\tone dog\n");
        await Refused(ProblemTable.NothingFits, "'z.jpg'");
        Raw.Files.RemoveAll(file => file.Kind == RawKind.Photo);
        await Refused(ProblemTable.NoPhotosSent, "1 caption came");
    }

    [Fact]
    public async Task Photos_are_found_by_path_by_casing_and_without_extension()
    {
        foreach (string name in (string[])["one/same.jpg", "two/same.jpg", "Upper.JPG", "42.jpg"])
        {
            Add(name, Made.SmallPhotos["cat.jpg"]);
        }
        AddText("captions.csv", "image,caption\none/same.jpg,A dog\ndata/two/same.jpg,no such path\ntwo\\same.jpg,A cat\nupper.jpg,A bird\n42,A cow\nsame.jpg,which one\n");

        DatasetImport import = await Write();

        Assert.Equal(["same.jpg#0\tA dog", "same-2.jpg#0\tA cat", "Upper.JPG#0\tA bird", "42.jpg#0\tA cow"], Lines(DatasetFolder.Captions));
        Assert.Equal(["data/two/same.jpg", "same.jpg"], Assert.Single(import.Findings, f => f.Code == "captions_without_photo").Examples);
    }

    [Fact]
    public async Task The_same_photos_give_the_same_splits_in_any_order()
    {
        string[] names = [.. Enumerable.Range(0, 40).Select(i => $"{i}.jpg")];
        foreach (string name in names)
        {
            Add(name, Made.SmallPhotos["cat.jpg"]);
        }
        string path = AddText("captions.token", string.Concat(names.Select(name => $"{name}#0\tone dog\n")));
        RawFile[] files = [.. Raw.Files];
        await Write(copy: true);
        string[] dev = Lines(DatasetFolder.Dev);
        Directory.Delete(Path.Combine(Folder, "out"), recursive: true);
        await File.WriteAllTextAsync(path, string.Concat(names.Reverse().Select(name => $"{name}#0\tone dog\n")), Service.Cancellation);
        await Write(copy: true);

        Assert.Equal(4, dev.Length);
        Assert.Equal(dev.Order(), Lines(DatasetFolder.Dev).Order());
        Assert.Equal(36, Lines(DatasetFolder.Train).Length);
    }
}
