using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>Data sets of folders that are on the server already.</summary>
public sealed class FolderImportTests(DatasetService service)
{
    [Fact]
    public async Task A_folder_of_the_server_is_imported_and_stays_as_it_is()
    {
        string folder = Path.Combine(service.Imports, "birds");
        Directory.CreateDirectory(Path.Combine(folder, "photos"));
        foreach ((string name, byte[] bytes) in Made.Files)
        {
            await File.WriteAllBytesAsync(Path.Combine(folder, name), bytes, Service.Cancellation);
        }
        if (!OperatingSystem.IsWindows())
        {
            File.CreateSymbolicLink(Path.Combine(folder, "photos", "link.jpg"), "/etc/passwd");
        }
        string[] before = Directory.GetFiles(folder, "*", SearchOption.AllDirectories);

        foreach (string named in (string[])[folder, "birds/"])
        {
            JsonNode dataset = await service.Checked(await service.SendJson($$"""{ "folder": "{{named.Replace("\\", "\\\\", StringComparison.Ordinal)}}" }"""));
            Assert.Equal(("birds", "ready", 6), ((string?)dataset["name"], (string?)dataset["status"], (int)dataset["photos"]!));
            Assert.Contains("links_ignored", dataset["report"]!["findings"]!.AsArray().Select(finding => (string?)finding!["code"]));
            await service.Delete((string)dataset["id"]!);
        }
        Assert.Equal(before, Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData("/etc", 403, "folder_not_allowed")]
    [InlineData("..", 403, "folder_not_allowed")]
    [InlineData("birds/../../x", 403, "folder_not_allowed")]
    [InlineData("way-out", 403, "folder_not_allowed")]
    [InlineData("way-out/../etc", 400, "invalid_option")]       // as a text, below the allowed one, and not there
    [InlineData("/no/such/folder", 403, "folder_not_allowed")]
    [InlineData("none", 400, "invalid_option")]
    [InlineData("  ", 400, "invalid_option")]
    public async Task Folders_elsewhere_are_refused(string folder, int status, string code)
    {
        string link = Path.Combine(service.Imports, "way-out");
        if (!Directory.Exists(link) && !OperatingSystem.IsWindows())
        {
            Directory.CreateSymbolicLink(link, "/usr");
        }
        (await service.SendJson($$"""{ "folder": "{{folder}}" }""")).IsProblem(status, code);
    }

    [Theory]
    [InlineData("""{ "folder": "birds", "colour": "red" }""", "invalid_option", "'colour'")]
    [InlineData("""{ "Folder": "birds" }""", "invalid_option", "'Folder'")]
    [InlineData("""{ "name": "birds" }""", "invalid_option", "'folder'")]
    [InlineData("""{ "folder": "birds", "name": "" }""", "invalid_option", "name")]
    [InlineData("""{ "folder": "birds", "language": "english please" }""", "invalid_option", "language")]
    [InlineData("""{ "folder": 7 }""", "malformed_body", "$.folder")]
    [InlineData("""{ "folder": "a", "folder": "b" }""", "malformed_body", "$")]
    [InlineData("null", "malformed_body", "$")]
    public async Task Wrong_members_are_named(string json, string code, string named) =>
        Assert.Contains(named, (string)(await service.SendJson(json)).IsProblem(400, code).Body["detail"]!, StringComparison.Ordinal);
}
