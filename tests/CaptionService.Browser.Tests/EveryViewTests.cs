using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>What holds of every view.</summary>
public sealed class EveryViewTests(Studio studio)
{
    private static readonly string[] s_views = ["caption", "models", "datasets", "training", "operate"];

    [Theory]
    [InlineData("en-US", false)]
    [InlineData("de-DE", true)]
    [InlineData("zh-CN", true)]
    public async Task It_can_be_read_by_everyone_and_fits_a_telephone(string locale, bool telephone)
    {
        await using Visit visit = await studio.Open("", locale, dark: telephone, telephone);
        Assert.Equal(locale[..2], await visit["html"].GetAttributeAsync("lang"));
        foreach (string view in s_views)
        {
            await visit.To(view);
            await Settled(visit, view);
            await visit.Screenshot($"{view}-{locale[..2]}{(telephone ? "-telephone" : "")}");
            Assert.Equal((view, ""), (view, string.Join('\n', await visit.Faults())));
        }
        Assert.Empty(visit.Errors);
    }

    [Fact]
    public async Task It_holds_under_a_strict_content_security_policy()
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        await visit.Page.RouteAsync(studio.Address, async route =>
        {
            IAPIResponse answer = await route.FetchAsync();
            await route.FulfillAsync(new() { Response = answer, Headers = new Dictionary<string, string>(answer.Headers) { ["Content-Security-Policy"] = "default-src 'self'; img-src 'self' blob: data:" } });
        });
        await visit.Page.GotoAsync(studio.Address);
        visit.Errors.Clear();
        await visit["#pick"].SetInputFilesAsync(Studio.Sample("dog"));
        await visit[".card.done"].WaitForAsync();
        foreach (string view in s_views)
        {
            await visit.To(view);
            await Settled(visit, view);
        }
        Assert.Empty(visit.Errors);
    }

    [Fact]
    public async Task The_language_of_the_page_is_changed_and_kept()
    {
        await using Visit visit = await studio.Open();
        await visit["header select"].SelectOptionAsync("zh");
        await Assertions.Expect(visit["h1"]).ToHaveTextAsync("照片里有什么？");
        await visit.Page.ReloadAsync();
        await Assertions.Expect(visit["html"]).ToHaveAttributeAsync("lang", "zh");
    }

    // What a view shows when its answers are there.
    private static Task Settled(Visit visit, string view) => visit[view switch
    {
        "caption" => ".chip",
        "models" => "article.model .chart",
        "operate" => ".tiles dd",
        _ => ".empty, .line",
    }].First.WaitForAsync();
}
