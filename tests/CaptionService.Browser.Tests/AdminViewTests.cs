using System.Text.RegularExpressions;
using Microsoft.Playwright;

namespace CaptionService.Browser.Tests;

/// <summary>Keys made, used and revoked by hand, on a service of its own: from the first one on everybody needs one.</summary>
public sealed class AdminViewTests
{
    [Fact]
    public async Task An_admin_makes_keys_revokes_them_and_sees_who_changed_what()
    {
        await using var studio = new Studio();
        await studio.InitializeAsync();
        await using Visit visit = await studio.Open("#operate");
        ILocator scope = visit.Page.GetByLabel("May"), rows = visit.Page.GetByRole(AriaRole.Region, new() { Name = "Keys" }).Locator("tbody tr");
        await Assertions.Expect(visit.Page.GetByText("There are no keys")).ToBeVisibleAsync();
        await Assertions.Expect(scope.Locator("option")).ToHaveTextAsync(["everything"]);       // nobody locks themselves out

        await visit.Page.GetByLabel("Name").FillAsync("office");
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Make a key" }).ClickAsync();
        await Assertions.Expect(rows).ToHaveTextAsync([new Regex("^office")]);
        string office = await visit["code.secret"].InnerTextAsync();

        await visit.Page.GetByLabel("Name").FillAsync("clerk");
        await scope.SelectOptionAsync("caption");
        await visit.Page.GetByLabel("Days").FillAsync("30");
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Make a key" }).ClickAsync();
        await Assertions.Expect(rows).ToHaveCountAsync(2);
        await visit.Screenshot("operate-keys");
        visit.Page.Dialog += (_, dialog) => dialog.AcceptAsync();
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Revoke: clerk" }).ClickAsync();
        await Assertions.Expect(rows.Filter(new() { HasText = "clerk" })).ToContainTextAsync("revoked ");

        ILocator changes = visit.Page.GetByRole(AriaRole.Region, new() { Name = "Who changed what" }).Locator("tbody tr");
        await Assertions.Expect(changes).ToHaveTextAsync([new Regex("DeleteKey.*office"), new Regex("PostKey.*office"), new Regex("PostKey")]);
        Assert.Empty(await visit.Faults());
        Assert.Empty(visit.Errors);

        // Another browser is asked for a key, and goes on with it.
        await using Visit other = await studio.Open("#models");
        await other["dialog input"].FillAsync(office);
        await other["dialog input"].PressAsync("Enter");
        await Assertions.Expect(other["article.model"]).ToHaveCountAsync(3);
    }
}
