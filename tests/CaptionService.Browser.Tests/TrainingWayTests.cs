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
        await Assertions.Expect(visit[".gallery > li"]).ToHaveCountAsync(s_photos.Length);
        await Assertions.Expect(visit[".findings .badge.warn"].First).ToBeVisibleAsync();
        await Assertions.Expect(visit[".gallery img[src^='blob:']"].First).ToBeVisibleAsync();
        await visit.Screenshot("dataset");

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

        await visit["a[href='#models']:has-text('garden@1')"].ClickAsync();
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

    private static byte[] Zip()
    {
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (string name in s_photos)
            {
                zip.CreateEntryFromFile(Studio.Sample(name), name + ".jpg");
            }
            using var captions = new StreamWriter(zip.CreateEntry("captions.txt").Open());
            foreach (string name in s_photos)
            {
                captions.Write($"{name}.jpg#0\ta photo of a {name}\n{name}.jpg#1\tthere is a {name}\n");
            }
        }
        return bytes.ToArray();
    }
}
