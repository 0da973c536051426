using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;

namespace CaptionService.Api.Tests;

/// <summary>Who changed what, and that nothing secret is written with it.</summary>
public sealed class AuditTests(ShippedSmall shipped)
{
    [Fact]
    public async Task Each_change_has_a_line_with_who_and_from_where_and_none_tells_a_secret()
    {
        await using var factory = new ServiceFactory(host => host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Auth:FirstKey", ServiceFactory.FirstKey).UseSetting("Datasets:Estimate", "false"));
        using HttpClient admin = await factory.Start(ready: true, ServiceFactory.FirstKey);
        Answer made = await Answer.To(admin, "/keys", new StringContent("""{"name": "gardener", "scope": "train"}""", Encoding.UTF8, "application/json"));
        string key = (string)made.Body["key"]!, id = (string)made.Body["made"]!["id"]!;
        using HttpClient trainer = await factory.Start(ready: true, key);

        using var form = Service.Form([]);
        form.Add(new ByteArrayContent(Made.Zip(Made.Files)), "archive", "planted-file-name.zip");
        form.Add(new StringContent("garden"), "name");       // else the data set is called after the file
        Answer dataset = await Answer.To(trainer, "/datasets", form);
        Assert.Equal(201, dataset.Status);
        (await Answer.To(trainer, "/keys", new StringContent("{}", Encoding.UTF8, "application/json"))).IsProblem(403, "scope_missing");       // no change, no line
        Answer captioned = await Answer.To(trainer, "/captions?count=1", Service.Form([("planted-photo.png", Photos.BlackPng(4))]));
        Assert.Equal(200, captioned.Status);
        string address = $"/datasets/{dataset.Body["id"]}";
        while ((string?)(await Answer.Get(trainer, address)).Body["status"] == "checking")
        {
            await Task.Delay(100, Service.Cancellation);
        }
        using (await trainer.DeleteAsync(address, Service.Cancellation))
        {
        }
        using (await admin.DeleteAsync($"/keys/{id}", Service.Cancellation))
        {
        }

        Answer audit = await Answer.Get(admin, "/audit");
        JsonNode[] lines = [.. audit.Body["entries"]!.AsArray().Select(line => line!).Reverse()];
        Assert.Equal([$"PostKey /keys/{id} first-key", $"PostDataset {address} gardener", $"DeleteDataset {address} gardener", $"DeleteKey /keys/{id} first-key"],
            lines.Select(line => $"{line["action"]} {line["target"]} {line["who"]}"));
        Assert.All(lines, line => Assert.Equal("127.0.0.1", (string?)line["from"]));
        Assert.Equal(id, (string?)lines[1]["keyId"]);
        Assert.Equal((4, 1, 2), ((int)(await Answer.Get(admin, "/audit?offset=2&limit=1")).Body["total"]!, (await Answer.Get(admin, "/audit?offset=2&limit=1")).Body["entries"]!.AsArray().Count,
            (int)(await Answer.Get(admin, "/audit?offset=2&limit=1")).Body["offset"]!));

        // What was planted is in nothing that the service wrote.
        foreach (string file in Directory.GetFiles(factory.Storage, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal)))
        {
            using var shared = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(shared, Encoding.Latin1);
            string text = await reader.ReadToEndAsync(Service.Cancellation);
            foreach (string secret in (string[])[key[^40..], ServiceFactory.FirstKey, "planted-file-name", "planted-photo"])
            {
                Assert.False(text.Contains(secret, StringComparison.Ordinal), $"{file} holds {secret}");
            }
        }
    }
}
