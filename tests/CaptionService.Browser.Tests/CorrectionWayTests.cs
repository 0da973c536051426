using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>A wrong caption put right on the page, and a data set made of what was kept; and text for an alt attribute.</summary>
public sealed class CorrectionWayTests(Studio studio)
{
    [Fact]
    public async Task A_caption_is_corrected_kept_counted_and_made_a_data_set()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        await visit["#pick"].SetInputFilesAsync([Studio.Sample("parrot"), Studio.Sample("moose")]);
        await Assertions.Expect(visit[".card.done"]).ToHaveCountAsync(2);

        foreach ((string name, string right) in new[] { ("parrot.jpg", "A red parrot sits on a branch."), ("moose.jpg", "A moose stands in the grass.") })
        {
            ILocator card = visit[$"article[aria-label='{name}']"];
            await card.GetByText("Correct", new() { Exact = true }).ClickAsync();
            Assert.Equal(await card.Locator(".first .sentence").GetAttributeAsync("aria-label"), await card.Locator("textarea").InputValueAsync());
            await card.Locator("textarea").FillAsync(right);
            await visit.Screenshot("caption-correct", whole: false);
            await card.GetByText("Keep it").ClickAsync();
            await Assertions.Expect(card.Locator(".correction")).ToContainTextAsync($"Kept: {right}");
        }
        await Assertions.Expect(visit[".counted"]).ToContainTextAsync("English: 2 corrections");
        await visit.Screenshot("caption-corrected");

        await visit[".counted button"].ClickAsync();
        await visit[".datasets .badge.good"].First.WaitForAsync();
        await Assertions.Expect(visit[".gallery"]).ToContainTextAsync("A moose stands in the grass.");
        Assert.Empty(visit.Errors);
    }

    [Fact]
    public async Task Text_for_an_alt_attribute_is_asked_for_with_a_switch_and_left_out_where_the_model_is_unsure()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        await visit[".alt input"].CheckAsync();
        await visit["#pick"].SetInputFilesAsync([Studio.Sample("books")]);
        await visit[".card.done"].WaitForAsync();

        await Assertions.Expect(visit[".withheld"]).ToHaveTextAsync("No text: the model is not sure enough.");
        await visit["button:text('curl')"].ClickAsync();
        Assert.Equal($"curl -F photo=@books.jpg '{studio.Address}captions?language=en&purpose=alt'", await visit.Page.EvaluateAsync<string>("() => navigator.clipboard.readText()"));
        await visit.Screenshot("caption-alt");
        Assert.Empty(visit.Errors);
    }
}
