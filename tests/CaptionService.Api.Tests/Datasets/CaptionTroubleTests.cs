using System.Text;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>Captions as people really have them, each kind after public reports: encodings, names, layouts, broken lines.</summary>
public sealed class CaptionTroubleTests : CanonicalFormCase
{
    private const string German = "image;caption\na.jpg;Ein Mädchen hüpft über die Straße.\nb.jpg;Zwei Hunde spielen.\nc.jpg;Eine Frau öffnet die Tür.\nd.jpg;Größe zählt.\n";
    private const string Chinese = "image,caption\na.jpg,一只狗在草地上奔跑。\nb.jpg,两个男人在街上走。\nc.jpg,一个小女孩在沙滩上玩耍。\n";
    private const string Japanese = "image,caption\na.jpg,犬が草の上を走っている。\nb.jpg,二人の男が通りを歩く。\n";
    private const string Russian = "image,caption\na.jpg,Собака бежит по траве.\nb.jpg,Два человека идут по улице.\n";

    static CaptionTroubleTests() => Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);

    [Theory]
    [InlineData("de", German, 1252, "Windows-1252")]
    [InlineData("de", German, 10000, "Mac Roman")]
    [InlineData("zh", Chinese, 936, "GB18030")]
    [InlineData("zh", "image,caption\na.jpg,一隻狗在草地上奔跑。\nb.jpg,兩個男人在街上走。\n", 950, "Big5")]
    [InlineData("ja", Japanese, 932, "Shift-JIS")]
    [InlineData("ja", Japanese, 51932, "EUC-JP")]
    [InlineData("ru", Russian, 1251, "Windows-1251")]
    [InlineData("ru", Russian, 20866, "KOI8-R")]
    [InlineData("de", German, 1200, "UTF-16")]      // without a byte order mark
    public async Task An_encoding_that_is_not_UTF_8_is_recognised_and_told(string language, string text, int page, string told)
    {
        AddPhotos();
        Add("captions.csv", Encoding.GetEncoding(page).GetBytes(text));

        DatasetImport import = await Write(language);

        string[] captions = [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line[6..])];
        Assert.Equal(captions, Lines(DatasetFolder.Captions).Select(line => line.Split('\t')[1]));
        Assert.Contains(told, Assert.Single(import.Findings, f => f.Code == "assumed_encoding").Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_encoding_that_cannot_be_told_is_refused_with_what_to_do()
    {
        AddPhotos();
        Add("captions.csv", [.. "image,caption\na.jpg,"u8, 0x81, 0xFE, 0x8D, 0x9D, 0xAD, .. "\n"u8]);

        await Refused(ProblemTable.BrokenCaptions, "Save it as UTF-8", "de");
    }

    [Fact]
    public async Task Text_that_was_damaged_before_is_told()
    {
        AddPhotos();
        AddText("captions.csv", "image,caption\na.jpg,Ein M\uFFFDdchen\nb.jpg,Ein Hund\n");

        Assert.Equal(1, Assert.Single((await Write("de")).Findings, f => f.Code == "damaged_text").Count);
    }

    [Theory]
    [InlineData("Hu\u0308ndin.jpg", "Hündin.jpg")]                      // decomposed, as macOS writes names
    [InlineData("か\u3099くせい.jpg", "がくせい.jpg")]
    [InlineData("\u1112\u1161\u11AB.jpg", "한.jpg")]
    [InlineData("IMG_1.JPG", "img_1.jpg")]
    [InlineData("photo.jpeg", "photo.jpg")]
    [InlineData("7.jpg", "7.0")]                                        // an id as pandas writes it
    public async Task A_name_is_found_in_its_other_spellings(string sent, string named)
    {
        Add(RawFiles.SafeName(sent), Made.SmallPhotos["cat.jpg"]);
        AddText("captions.csv", $"image,caption\n{named},one dog\n");

        await Write();
        Assert.Single(Lines(DatasetFolder.Captions));
    }

    [Theory]
    [InlineData("狗.jpg", 936)]
    [InlineData("犬の写真.jpg", 932)]
    [InlineData("Hündin.jpg", 1252)]
    [InlineData("Mãos.jpg", 850)]
    public async Task A_name_that_was_read_in_the_wrong_code_page_is_found_and_told(string name, int page)
    {
        Add(Encoding.GetEncoding(437).GetString(Encoding.GetEncoding(page).GetBytes(name)), Made.SmallPhotos["cat.jpg"]);
        AddText("captions.csv", $"image,caption\n{name},one dog\n");

        DatasetImport import = await Write();

        Assert.Single(Lines(DatasetFolder.Captions));
        Assert.Equal(1, Assert.Single(import.Findings, f => f.Code == "loose_names").Count);
    }

    [Fact]
    public async Task The_image_folder_of_Hugging_Face_has_a_file_for_each_split()
    {
        foreach (string split in (string[])["train", "validation", "test"])
        {
            Add($"{split}/0001.jpg", Made.SmallPhotos["cat.jpg"]);      // the same name in each
            AddText($"{split}/metadata.jsonl", $"{{\"file_name\":\"0001.jpg\",\"text\":\"the {split} dog\"}}\n");
        }

        DatasetImport import = await Write();

        Assert.Equal("data", import.SplitsFrom);
        Assert.Equal(["0001.jpg#0\tthe train dog", "0001-2.jpg#0\tthe validation dog", "0001-3.jpg#0\tthe test dog"], Lines(DatasetFolder.Captions));
        Assert.Equal(["0001-2.jpg"], Lines(DatasetFolder.Dev));
    }

    [Fact]
    public async Task A_text_beside_each_photo_is_its_caption()
    {
        AddPhotos("10_dog/");
        foreach (string photo in Photos)
        {
            AddText($"10_dog/{Path.ChangeExtension(photo, ".txt")}", $"a dog called {photo[0]}\n");
        }

        Assert.Equal("sidecar", (await Write()).Format);
        Assert.Equal(["a.jpg#0\ta dog called a", "b.jpg#0\ta dog called b", "c.jpg#0\ta dog called c", "d.jpg#0\ta dog called d"], Lines(DatasetFolder.Captions));
    }

    [Theory]
    [InlineData("captions.csv", "image,caption_0,caption_1,caption_2\na.jpg,one dog,two dogs,\nb.jpg,one cat,two cats,three cats\n")]
    [InlineData("captions.csv", "image,captions\na.jpg,\"['one dog', \"\"two dogs\"\"]\"\nb.jpg,\"[\"\"one cat\"\", \"\"two cats\"\", \"\"three cats\"\"]\"\n")]
    [InlineData("coco_raw.json", "[{\"file_path\":\"train/a.jpg\",\"id\":1,\"captions\":[\"one dog\",\"two dogs\"]},{\"file_path\":\"train/b.jpg\",\"id\":2,\"captions\":[\"one cat\",\"two cats\",\"three cats\"]}]")]
    [InlineData("captions.csv", "image_id,id,file_name,caption\n1,1,a.jpg,one dog\n1,2,a.jpg,two dogs\n2,3,b.jpg,one cat\n2,4,b.jpg,two cats\n2,5,b.jpg,three cats\n")]
    [InlineData("flickr8k.zh", "a.jpg#zhb#0 one dog\na.jpg#zhb#1 two dogs\nb.jpg#zhb#0 one cat\nb.jpg#zhb#1 two cats\nb.jpg#zhb#2 three cats\n")]
    public async Task Several_captions_of_a_photo_in_one_place(string name, string text)
    {
        AddPhotos();
        AddText(name, text);

        await Write();
        Assert.Equal(["a.jpg#0\tone dog", "a.jpg#1\ttwo dogs", "b.jpg#0\tone cat", "b.jpg#1\ttwo cats", "b.jpg#2\tthree cats"], Lines(DatasetFolder.Captions));
    }

    [Fact]
    public async Task Boxes_and_key_points_of_COCO_are_ignored_whatever_their_size()
    {
        AddPhotos();
        AddText("annotations/captions_val2014.json", """{"images":[{"id":1.0,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"caption":"One dog"}]}""");
        AddText("annotations/instances_val2014.json", $$"""{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"bbox":[{{string.Join(',', Enumerable.Repeat("1.5", 1000))}}]}]}""");

        DatasetImport import = await Write(options: new DatasetsOptions { MaxCaptionBytes = 1000 });

        Assert.Equal(("coco", "a.jpg#0\tOne dog"), (import.Format, Assert.Single(Lines(DatasetFolder.Captions))));
    }

    [Fact]
    public async Task Entities_and_marks_are_taken_out_and_told()
    {
        AddPhotos();
        AddText("captions.csv", "image,caption\na.jpg,salt &amp; pepper\nb.jpg,<start> a man&#39;s dog <end>\nc.jpg,startseq a cat endseq\n");

        DatasetImport import = await Write();

        Assert.Equal(["a.jpg#0\tsalt & pepper", "b.jpg#0\ta man's dog", "c.jpg#0\ta cat"], Lines(DatasetFolder.Captions));
        Assert.Equal([("html_entities", 2), ("sequence_markers", 2)], import.Findings.Where(f => f.Code is "html_entities" or "sequence_markers").Select(f => (f.Code, f.Count)));
    }

    [Theory]
    [InlineData("csv", "image,caption\n", "a.jpg,one dog\n", "a.jpg\n", "line 22")]
    [InlineData("csv", "image|number|caption\n", "a.jpg|1|one dog\n", "a.jpg 4 A dog runs\n", "line 22")]      // Flickr30k, line 19,999
    [InlineData("csv", "image,caption\n", "a.jpg,one dog\n", "a.jpg,\"one dog\n", "line 22")]
    [InlineData("jsonl", "", "{\"image\":\"a.jpg\",\"caption\":\"one dog\"}\n", "{\"image\"\n", "line 21")]
    [InlineData("token", "", "a.jpg#0\tone dog\n", "a dog\n", "line 21")]
    public async Task One_broken_line_is_left_out_counted_and_shown(string extension, string head, string line, string broken, string where)
    {
        AddPhotos();
        AddText("captions." + extension, head + string.Concat(Enumerable.Repeat(line, 20)) + broken + string.Concat(Enumerable.Repeat(line, 5)));

        DatasetFinding finding = Assert.Single((await Write()).Findings, f => f.Code == "broken_lines");

        Assert.Equal(25, Lines(DatasetFolder.Captions).Length);
        Assert.Equal(1, finding.Count);
        Assert.Contains(where, Assert.Single(finding.Examples), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("csv", "image,caption\na.jpg,one dog\nb.jpg,\n")]
    [InlineData("jsonl", "{\"image\":\"a.jpg\",\"caption\":\"one dog\"}\n{\"image\":\"b.jpg\",\"caption\":null}\n")]
    [InlineData("json", "[{\"image\":\"a.jpg\",\"caption\":\"one dog\"},{\"image\":\"b.jpg\",\"caption\":[]}]")]
    [InlineData("json", "{\"images\":[{\"id\":1,\"file_name\":\"a.jpg\"},{\"id\":2,\"file_name\":\"b.jpg\"}],\"annotations\":[{\"image_id\":1,\"caption\":\"one dog\"},{\"image_id\":2,\"caption\":null}]}")]
    public async Task An_empty_caption_is_left_out_and_counted_in_every_format(string extension, string text)
    {
        AddPhotos();
        AddText("captions." + extension, text);

        DatasetFinding finding = Assert.Single((await Write()).Findings, f => f.Code == "empty_captions");

        Assert.Equal((1, "1 caption holds no word and was left out."), (finding.Count, finding.Message));
        Assert.Single(Lines(DatasetFolder.Captions));
    }

    [Fact]
    public async Task Captions_that_are_all_empty_are_told_so()
    {
        AddPhotos();
        AddText("captions.csv", "image,caption\na.jpg,\nb.jpg,\n");

        await Refused(ProblemTable.NoCaptions, "its captions are empty");
    }

    [Fact]
    public async Task A_name_in_two_folders_is_told()
    {
        Add("one/1.jpg", Made.SmallPhotos["cat.jpg"]);
        Add("two/1.jpg", Made.SmallPhotos["cat.jpg"]);
        AddText("captions.csv", "image,caption\n1.jpg,one dog\n");

        await Refused(ProblemTable.NothingFits, "'1.jpg' names several photos");
    }

    [Fact]
    public async Task Photos_that_cannot_be_read_are_named_and_not_called_missing()
    {
        AddText("captions.csv", "image,caption\na.heic,one dog\n");
        byte[] heic = [0, 0, 0, 24, .. "ftypheic"u8, .. new byte[40]];
        Assert.Equal(RawKind.OtherPhoto, RawFiles.KindOf(heic));
        Raw.Leave("a.heic", RawKind.OtherPhoto, heic);

        await Refused(ProblemTable.NoPhotosSent, "'a.heic' is a HEIC");
    }

    [Fact]
    public async Task An_archive_in_the_archive_is_told()
    {
        AddText("captions.csv", "image,caption\na.jpg,one dog\n");
        Raw.Nested.Add("images.zip");

        await Refused(ProblemTable.NoPhotosSent, "'images.zip' is an archive inside the archive");
    }

    [Theory]
    [InlineData("a/.ipynb_checkpoints/a.jpg")]
    [InlineData("__MACOSX/._a.jpg")]
    [InlineData("x/__MACOSX/a.jpg")]
    public void Debris_is_passed_over(string name) => Assert.True(RawFiles.IsDebris(name));

    [Theory]
    [InlineData("de_DE", "de")]
    [InlineData("DE", "de")]
    [InlineData("deu", "de")]
    [InlineData("ger", "de")]
    [InlineData("zh-hans-CN", "zh-Hans")]
    [InlineData("xx", null)]
    [InlineData("german", null)]
    public void A_language_has_one_tag(string given, string? tag) => Assert.Equal(tag, LanguageTag.Canonical(given));
}
