using System.IO.Compression;
using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>From photos of one's own to a model in service, without a line of code.</summary>
public sealed class TrainingWayTests(Studio studio)
{
    private static readonly string[] s_photos = ["dog", "cat", "parrot", "coffee", "pizza", "boats", "books", "bridge", "balloon", "flower"];

    [Fact]
    public async Task A_data_set_is_sent_trained_on_and_its_model_activated_and_taken_back()
    {
        await using Visit visit = await studio.Open("#datasets");
        visit.Page.Dialog += (_, dialog) => dialog.AcceptAsync();
        await visit[".new > summary"].ClickAsync();
        await visit.Screenshot("datasets-new");
        await visit["input[type=file]"].First.SetInputFilesAsync(new FilePayload { Name = "garden.zip", MimeType = "application/zip", Buffer = Zip() });
        await visit[".new .primary"].ClickAsync();
        await visit[".head .badge.good"].WaitForAsync();
        await Assertions.Expect(visit[".gallery > li"]).ToHaveCountAsync(s_photos.Length + 2);
        await Assertions.Expect(visit[".findings .badge.warn"].First).ToBeVisibleAsync();
        foreach ((string message, string[] names) in ((string, string[])[])
            [("byte for byte", ["cat.jpg", "copy.jpg"]), ("the same as another", ["again.jpg", "dog.jpg"])])
        {
            ILocator twins = visit[".findings > li"].Filter(new() { HasText = message }).Locator("figure");
            Assert.Equal(names, (await twins.AllInnerTextsAsync()).Select(text => text.Trim()).Order(StringComparer.Ordinal));
            await twins.First.ScrollIntoViewIfNeededAsync();
            await Assertions.Expect(twins.Locator("img[src^='blob:']")).ToHaveCountAsync(2);
        }
        // Photos are fetched as they come into view.
        await visit[".gallery > li"].Nth(s_photos.Length + 1).ScrollIntoViewIfNeededAsync();
        await Assertions.Expect(visit[".gallery img[src^='blob:']"].First).ToBeVisibleAsync();
        Assert.Empty(await visit.Faults());
        await visit.Screenshot("dataset");
        string dataset = new Uri(visit.Page.Url).Fragment.Split('/')[1];

        await visit[".head a.primary"].ClickAsync();
        await visit[".preset"].First.WaitForAsync();
        await visit["form details summary"].ClickAsync();
        await visit.Screenshot("training-new");
        await visit.Page.GetByLabel("epochs", new() { Exact = true }).FillAsync("2");
        await visit.Page.GetByLabel("batchPhotos", new() { Exact = true }).FillAsync("4");
        await visit.Page.GetByLabel("Name of the model").FillAsync("garden");
        await visit[".check input"].UncheckAsync();
        await visit["form .primary"].ClickAsync();
        await visit[".chart .line.c"].First.WaitForAsync();
        await visit[".head .badge.good"].WaitForAsync(new() { Timeout = 300_000 });
        await Assertions.Expect(visit["section .gallery > li"].First).ToBeVisibleAsync();
        await visit["input[type=range]"].FillAsync("0");
        await Assertions.Expect(visit[".head output"]).ToHaveTextAsync("before training");
        await visit.Screenshot("job");
        await JobsAreCompared(visit, dataset);
        await ModelsAreCompared(visit, dataset);

        await visit.To("models");
        ILocator model = visit["article[aria-label=garden]"];
        await model.Locator("button:text('Activate')").ClickAsync();
        await model.Locator("td .badge.good").WaitForAsync();
        await visit.Screenshot("models-activated");
        await visit.To("caption");
        await visit["#pick"].SetInputFilesAsync(Studio.Sample("dog"));
        await Assertions.Expect(visit[".foot"]).ToContainTextAsync("garden@1", new() { Timeout = 60_000 });
        await Assertions.Expect(visit[".confidence.none"].First).ToBeVisibleAsync();
        await visit.To("models");
        await model.Locator("button:text('Roll back')").ClickAsync();
        await Assertions.Expect(model.Locator("td .badge.good")).ToHaveCountAsync(0);
        await model.Locator("button:text('Delete')").ClickAsync();
        await Assertions.Expect(model).ToHaveCountAsync(0);

        await visit.To("operate");
        await visit[".tiles dd"].First.WaitForAsync();
        await Assertions.Expect(visit[".tiles"]).Not.ToContainTextAsync("–", new() { Timeout = 30_000 });
        await visit.Screenshot("operate");
        Assert.Empty(visit.Errors);
    }

    [Theory]
    [InlineData("A dog runs on the grass.", "A brown dog is running on the grass.", "en",
        "A dog [runs] on the grass.", "A [brown] dog [is running] on the grass.")]
    [InlineData("Ein Hund läuft.", "ein Hund läuft", "de", "Ein Hund läuft.", "ein Hund läuft")]
    [InlineData("一只狗在草地上奔跑。", "一只狗在草地上睡觉。", "zh",
        "一只狗在草地上[奔跑]。", "一只狗在草地上[睡觉]。")]
    public async Task Words_that_only_one_of_two_captions_has_are_marked(string one, string other, string language,
        string markedOne, string markedOther)
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        string[] marked = await visit.Page.EvaluateAsync<string[]>("""
            async ([one, other, language]) => (await import('/js/differences.js')).marked(one, other, language)
              .map(nodes => nodes.map(node => typeof node === 'string' ? node : `[${node.textContent}]`).join(''))
            """, new[] { one, other, language });
        Assert.Equal([markedOne, markedOther], marked);
    }

    // A second job, and both in one chart.
    private async Task JobsAreCompared(Visit visit, string dataset)
    {
        await visit.Page.EvaluateAsync("""
            dataset => fetch('training-jobs', {
              method: 'POST', headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify({ dataset, preset: 'quick', name: 'hedge', options: { epochs: 3, batchPhotos: 2 } }),
            })
            """, dataset);
        await visit.To("training");
        await visit.Page.GetByLabel("Compare garden").CheckAsync();
        await Assertions.Expect(visit[".compared"]).ToBeHiddenAsync();
        await visit.Page.GetByLabel("Compare hedge").CheckAsync();
        await Assertions.Expect(visit[".compared td .badge.good"]).ToHaveCountAsync(2, new() { Timeout = 300_000 });
        await Assertions.Expect(visit[".compared .chart .line"]).ToHaveCountAsync(2);
        await Assertions.Expect(visit[".compared tbody th"]).ToHaveTextAsync(["hedge", "garden"]);
        Assert.Equal("CIDEr", await visit[".compared .chart figcaption"].InnerTextAsync());
        await visit[".compared select"].SelectOptionAsync("trainLoss");
        await Assertions.Expect(visit[".compared .chart figcaption"]).ToHaveTextAsync("Training loss");
        await visit[".compared select"].SelectOptionAsync("rougeL");
        Assert.Empty(await visit.Faults());
        await visit.Screenshot("training-compared");

        await using Visit other = await studio.Open("#training", "de-DE", dark: true, telephone: true);
        await other[".tick input"].First.CheckAsync();
        await other[".tick input"].Nth(1).CheckAsync();
        await other[".compared select"].SelectOptionAsync("rougeL");
        await Assertions.Expect(other[".compared .chart .line"]).ToHaveCountAsync(2);
        Assert.Empty(await other.Faults());
        await other.Screenshot("training-compared-de-telephone");
    }

    // The model that was made beside that in service: on photos, on the data set, and alone.
    private async Task ModelsAreCompared(Visit visit, string dataset)
    {
        await visit.To("models");
        await visit["article[aria-label=garden] a:text('Evaluate')"].ClickAsync();
        ILocator first = visit.Page.GetByLabel("First model"), second = visit.Page.GetByLabel("Second model");
        await Assertions.Expect(first).ToHaveValueAsync("garden@1");
        await Assertions.Expect(second.Locator("option:checked")).ToContainTextAsync("in service");
        await visit.Page.GetByLabel("Photos", new() { Exact = true }).SetInputFilesAsync([Studio.Sample("dog"), Studio.Sample("parrot")]);
        await Assertions.Expect(visit[".pair .sides p[lang='en']:has-text('.')"]).ToHaveCountAsync(4);

        await visit.Page.GetByLabel("Data set", new() { Exact = true }).SelectOptionAsync(dataset);
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Compare", Exact = true }).ClickAsync();
        await Assertions.Expect(visit[".result thead th"]).ToHaveTextAsync(
            ["Scores", "garden@1", await second.InputValueAsync(), "Difference"], new() { Timeout = 120_000 });
        Assert.Empty(await visit.Faults());
        await visit[".pair"].Last.ScrollIntoViewIfNeededAsync();
        await Assertions.Expect(visit[".pair img[src^='blob:']"]).ToHaveCountAsync(3);
        await visit.Screenshot("models-compared");

        await second.SelectOptionAsync("");
        await Assertions.Expect(visit[".pair"]).ToHaveCountAsync(0);
        await Assertions.Expect(visit.Page.GetByText("Choose a second model")).ToBeVisibleAsync();
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Evaluate", Exact = true }).ClickAsync();
        await Assertions.Expect(visit[".result"]).ToContainTextAsync("Best captions");
        await visit["details summary:text('Asked before')"].ClickAsync();
        await Assertions.Expect(visit["details tbody tr"]).ToHaveCountAsync(2);
        Assert.Empty(await visit.Faults());
        await visit.Screenshot("models-evaluated");

        await using Visit other = await studio.Open("#models/compare/garden%401", "zh-CN", dark: true, telephone: true);
        await other["details summary"].ClickAsync();
        await other["details tbody tr button"].Nth(1).ClickAsync();
        await Assertions.Expect(other[".result thead th"]).ToHaveCountAsync(4);
        Assert.Empty(await other.Faults());
        await other.Screenshot("models-compared-zh-telephone");
    }

    private static byte[] Zip()
    {
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (string name in s_photos)
            {
                zip.CreateEntryFromFile(Studio.Sample(name), name + ".jpg");
            }
            zip.CreateEntryFromFile(Studio.Sample("cat"), "copy.jpg");
            using (Stream again = zip.CreateEntry("again.jpg").Open())
            {
                again.Write([.. File.ReadAllBytes(Studio.Sample("dog")), 0]);       // another file of the same picture
            }
            using var captions = new StreamWriter(zip.CreateEntry("captions.txt").Open());
            foreach (string name in (string[])[.. s_photos, "copy", "again"])
            {
                captions.Write($"{name}.jpg#0\ta photo of a {name}\n{name}.jpg#1\tthere is a {name}\n");
            }
        }
        return bytes.ToArray();
    }
}
