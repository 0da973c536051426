using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>What browsers reach besides the page: Swagger, and pages of other origins.</summary>
public sealed class OtherWaysTests(Studio studio)
{
    [Fact]
    public async Task The_file_picker_of_Swagger_sends_a_photo()
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        ILocator operation = visit["#operations-Captions-PostCaptions"];
        await operation.Locator(".opblock-summary-control").First.ClickAsync();
        await operation.Locator("input[type=file]").First.WaitForAsync();
        await operation.Locator("input[type=file]").First.SetInputFilesAsync(Studio.Sample("cat"));
        await operation.Locator(".execute").ClickAsync();
        await Assertions.Expect(operation.Locator(".live-responses-table tbody .response-col_status").First).ToContainTextAsync("200", new() { Timeout = 60_000 });
        await Assertions.Expect(operation.Locator(".live-responses-table")).ToContainTextAsync("\"text\": \"");
        await visit.Screenshot("swagger", whole: false);
    }

    [Fact]
    public async Task A_page_of_another_origin_calls_after_its_preflight()
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        await visit.Page.GotoAsync(studio.OtherOrigin);
        string photo = Convert.ToBase64String(await File.ReadAllBytesAsync(Studio.Sample("cat"), Studio.Cancellation));
        JsonElement? answer = await visit.Page.EvaluateAsync("""
            async ([address, photo]) => (await fetch(`${address}captions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ images: [photo] }) })).json()
            """, new[] { studio.Address, photo });
        Assert.NotEmpty(answer!.Value.GetProperty("results")[0].GetProperty("captions")[0].GetProperty("text").GetString()!);

        await visit.Page.GotoAsync(studio.OtherOrigin.Replace("localhost", "127.0.0.1", StringComparison.Ordinal));        // an origin that is not allowed
        string failure = await visit.Page.EvaluateAsync<string>("address => fetch(`${address}models`).then(() => 'read', failure => failure.name)", studio.Address);
        Assert.Equal("TypeError", failure);
    }

    [Fact]
    public async Task The_sample_page_captions_photos_from_another_origin()
    {
        await using Visit visit = await studio.Open("swagger/index.html");
        await visit.Page.GotoAsync(studio.OtherOrigin + "/captions.html");
        await visit["#service"].FillAsync(studio.Address.TrimEnd('/'));
        await visit["#photos"].SetInputFilesAsync([Studio.Sample("cat"), Studio.Sample("parrot")]);
        await Assertions.Expect(visit["#captions li"]).ToHaveCountAsync(2, new() { Timeout = 60_000 });
        await Assertions.Expect(visit["#captions li"].Nth(1)).ToHaveTextAsync(new Regex(@"^parrot\.jpg: \w.+\.$"));
    }
}
