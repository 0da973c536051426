using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>Photos in, captions out, as a person does it.</summary>
public sealed class CaptionViewTests(Studio studio)
{
    [Fact]
    public async Task A_photo_is_shown_at_once_captioned_and_its_words_show_where_the_model_looked()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        await visit.Screenshot("caption-empty");
        await visit["#pick"].SetInputFilesAsync(Studio.Sample("parrot"));
        await visit[".photo img"].WaitForAsync();
        await visit[".card.done"].WaitForAsync();
        Assert.Equal(3, await visit[".sentence"].CountAsync());
        Assert.Matches(@"^\w+\s+0\.\d\d$", await visit[".confidence"].First.InnerTextAsync());

        await Assertions.Expect(visit["canvas.shown"]).ToHaveCountAsync(0);
        await visit[".first .word"].Nth(1).HoverAsync();
        await Assertions.Expect(visit["canvas.shown"]).ToHaveCountAsync(1);
        Assert.True(await visit.Page.EvaluateAsync<bool>("() => new Set(document.querySelector('canvas').getContext('2d').getImageData(0, 0, 112, 112).data).size > 20"), "The overlay is blank.");
        await visit.Screenshot("caption-looked", whole: false);

        await visit["button:text('Copy text')"].ClickAsync();
        string caption = (await visit[".first .sentence"].GetAttributeAsync("aria-label"))!;
        Assert.Equal(caption, await visit.Page.EvaluateAsync<string>("() => navigator.clipboard.readText()"));
        await visit["button:text('curl')"].ClickAsync();
        Assert.Equal($"curl -F photo=@parrot.jpg '{studio.Address}captions?language=en'", await visit.Page.EvaluateAsync<string>("() => navigator.clipboard.readText()"));
        await visit[".confidence"].First.HoverAsync();
        await visit.Screenshot("caption-confidence", whole: false);
        Assert.Empty(visit.Errors);
    }

    [Fact]
    public async Task A_grid_fills_and_what_is_refused_says_what_to_do()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        await visit[".chip input"].Nth(1).CheckAsync();
        string text = Path.Combine(AppContext.BaseDirectory, "samples", "LICENSES.md");
        await visit["#pick"].SetInputFilesAsync([.. new[] { "dog", "coffee", "pizza", "football" }.Select(Studio.Sample), text]);
        await Assertions.Expect(visit[".card"]).ToHaveCountAsync(5);
        await Assertions.Expect(visit[".card.done"]).ToHaveCountAsync(4, new() { Timeout = 120_000 });
        await Assertions.Expect(visit[".card.refused .problem"]).ToContainTextAsync("JPEG, PNG, WebP and GIF");
        Assert.Equal(8, await visit[".told-language"].CountAsync());
        await visit["details.options summary"].ClickAsync();
        await visit.Screenshot("caption-grid");
        Assert.Single(visit.Errors, error => error.Contains("415", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_keyboard_is_enough()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        await Press("Tab", "#pick");
        IFileChooser chooser = await visit.Page.RunAndWaitForFileChooserAsync(() => visit.Page.Keyboard.PressAsync("Enter"));
        await chooser.SetFilesAsync(Studio.Sample("cat"));
        await visit[".card.done"].WaitForAsync();
        await Press("Tab", ".word");
        await visit.Page.Keyboard.PressAsync("ArrowRight");
        await Assertions.Expect(visit["canvas.shown"]).ToHaveCountAsync(1);
        Assert.Contains("%", await visit[".word:focus"].GetAttributeAsync("aria-label"), StringComparison.Ordinal);
        await visit.Screenshot("caption-keyboard", whole: false);
        await Press("Tab", ".confidence");
        await Assertions.Expect(visit["[role=tooltip]"].First).ToBeVisibleAsync();
        await Press("Tab", ".foot button:last-child");
        await visit.Page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(visit[".card"]).ToHaveCountAsync(0);
        Assert.Empty(visit.Errors);

        async Task Press(string key, string until)
        {
            for (int i = 0; i < 60; i++)
            {
                await visit.Page.Keyboard.PressAsync(key);
                if (await visit.Page.EvaluateAsync<bool>("selector => document.activeElement.matches(selector)", until))
                {
                    return;
                }
            }
            Assert.Fail($"60 times {key} do not lead to {until}.");
        }
    }

    [Fact]
    public async Task A_photo_may_be_pasted_and_dropped()
    {
        await using Visit visit = await studio.Open();
        await visit[".chip"].First.WaitForAsync();
        string bytes = Convert.ToBase64String(await File.ReadAllBytesAsync(Studio.Sample("cat"), Studio.Cancellation));
        foreach ((string kind, int cards) in new[] { ("paste", 1), ("drop", 2) })
        {
            await visit.Page.EvaluateAsync("""
                ([kind, bytes]) => {
                  const data = new DataTransfer();
                  data.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], `${kind}.jpg`, { type: 'image/jpeg' }));
                  document.dispatchEvent(kind === 'paste' ? new ClipboardEvent('paste', { clipboardData: data }) : new DragEvent('drop', { dataTransfer: data, cancelable: true }));
                }
                """, new[] { kind, bytes });
            await Assertions.Expect(visit[".card.done"]).ToHaveCountAsync(cards, new() { Timeout = 60_000 });
        }
        Assert.Empty(visit.Errors);
    }

    [Fact]
    public async Task Where_the_service_wants_a_key_it_is_asked_for_once_and_sent()
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        await visit.Page.RouteAsync("**/models", route => route.Request.Headers.TryGetValue("authorization", out string? sent) && sent == "Bearer secret"
            ? route.ContinueAsync()
            : route.FulfillAsync(new() { Status = 401, ContentType = "application/problem+json", Body = """{"title":"No key","status":401}""" }));
        await visit.Page.GotoAsync(studio.Address);
        await visit["dialog input"].FillAsync("wrong");
        await visit["dialog .primary"].ClickAsync();
        await visit["dialog p:has-text('did not accept')"].WaitForAsync();
        await visit.Screenshot("key", whole: false);
        await visit["dialog input"].FillAsync("secret");
        await visit["dialog .primary"].ClickAsync();
        await visit[".chip"].First.WaitForAsync();
        Assert.Equal("secret", await visit.Page.EvaluateAsync<string>("() => sessionStorage.getItem('apiKey')"));
    }
}
