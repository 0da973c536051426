using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Feedback;

/// <summary>Corrections: kept, listed, edited, deleted; and by whom.</summary>
public sealed class FeedbackTests(ShippedSmall shipped, Databases databases)
{
    private readonly byte[] _cat = Photos.Cat;

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task A_correction_is_kept_listed_edited_and_deleted(string kind)
    {
        await using ServiceFactory factory = Enabled(await databases.Fresh(kind));
        using HttpClient client = await factory.Start(ready: false);
        string digest = Convert.ToHexStringLower(SHA256.HashData(_cat)), file = Path.Combine(factory.Storage, "feedback", digest);

        Answer sent = await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat)], ("given", "Ein Hund."), ("caption", " Eine Katze. "), ("language", "de_DE"), ("who", "Ada")));
        Answer digestOnly = await Json(client, new JsonObject { ["digest"] = digest.ToUpperInvariant(), ["caption"] = "A cat." });
        Answer other = await Json(client, new JsonObject { ["digest"] = new string('0', 64), ["caption"] = "Something else." });

        Assert.Equal(201, sent.Status);
        JsonNode first = sent.Body;
        Assert.Equal((digest, "Ein Hund.", "Eine Katze.", "de", "Ada"), ((string)first["digest"]!, (string)first["given"]!, (string)first["caption"]!, (string)first["language"]!, (string)first["who"]!));
        Assert.Equal([true, true, false], ((Answer[])[sent, digestOnly, other]).Select(answer => (bool)answer.Body["photoKept"]!));
        Assert.Equal(_cat, await File.ReadAllBytesAsync(file, Service.Cancellation));
        JsonNode page = (await Answer.Get(client, "/feedback?offset=1&limit=1")).Body, german = (await Answer.Get(client, "/feedback?language=de-AT")).Body;
        Assert.Equal((true, 3, 1, "A cat."), ((bool)page["enabled"]!, (int)page["total"]!, (int)page["offset"]!, (string)Assert.Single(page["feedback"]!.AsArray())!["caption"]!));
        Assert.Equal("Eine Katze.", (string)Assert.Single(german["feedback"]!.AsArray())!["caption"]!);

        string address = $"/feedback/{first["id"]}";
        using (HttpResponseMessage edited = await client.PatchAsJsonAsync(address, new { caption = "Eine gestreifte Katze." }, Service.Cancellation))
        {
            Assert.Equal(200, (int)edited.StatusCode);
        }
        JsonNode after = (await Answer.Get(client, address)).Body;
        Assert.Equal(("Eine gestreifte Katze.", "Ein Hund."), ((string)after["caption"]!, (string)after["given"]!));

        Assert.Equal(204, await Delete(client, address));
        Assert.True(File.Exists(file));         // another correction is about it
        Assert.Equal(204, await Delete(client, $"/feedback/{digestOnly.Body["id"]}"));
        Assert.False(File.Exists(file));
        (await Answer.Get(client, address)).IsProblem(404, "feedback_not_found");
        Assert.Equal(404, await Delete(client, address));
    }

    [Fact]
    public async Task Nothing_is_kept_where_the_operator_keeps_none()
    {
        await using var factory = new ServiceFactory(host => ServiceFactory.WithoutModels(host));
        using HttpClient client = await factory.Start(ready: false);

        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat)], ("caption", "A cat.")))).IsProblem(403, "feedback_disabled");

        Assert.False(Directory.Exists(Path.Combine(factory.Storage, "feedback")));
        Assert.False((bool)(await Answer.Get(client, "/feedback")).Body["enabled"]!);
    }

    [Fact]
    public async Task What_is_no_correction_is_refused_and_leaves_nothing()
    {
        await using ServiceFactory factory = Enabled(new() { ["Feedback:MaxEntries"] = "1" });
        using HttpClient client = await factory.Start(ready: false);
        (string, string)[] caption = [("caption", "A cat.")];

        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat)]))).IsProblem(400, "invalid_option");
        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat)], ("caption", "two\nlines")))).IsProblem(400, "invalid_option");
        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat)], ("caption", "A cat."), ("digest", new string('a', 64))))).IsProblem(400, "invalid_option");
        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat), ("dog.jpg", _cat)], caption))).IsProblem(400, "too_many_photos");
        (await Answer.To(client, "/feedback", Service.Form([], caption))).IsProblem(400, "no_photo");
        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", [1, 2, 3])], caption))).IsProblem(415, "not_a_photo");
        (await Answer.To(client, "/feedback", Service.Form([("cat.jpg", _cat[..1000])], caption))).IsProblem(422, "broken_photo");
        (await Answer.To(client, "/feedback", Service.Bytes(_cat, "image/jpeg"))).IsProblem(415, "unsupported_media_type");
        (await Json(client, new JsonObject { ["digest"] = "abc", ["caption"] = "A cat." })).IsProblem(400, "invalid_option");
        (await Json(client, new JsonObject { ["photo"] = "?", ["caption"] = "A cat." })).IsProblem(400, "bad_base64");
        Assert.Contains("do you mean caption?", (string)(await Json(client, new JsonObject { ["captoin"] = "A cat." })).IsProblem(400, "invalid_option").Body["detail"]!, StringComparison.Ordinal);
        Assert.Equal(0, (int)(await Answer.Get(client, "/feedback")).Body["total"]!);
        Assert.False(Directory.Exists(Path.Combine(factory.Storage, "feedback")));
        (await Answer.To(client, "/datasets", new StringContent("""{"feedback": true}""", Encoding.UTF8, "application/json"))).IsProblem(422, "no_feedback");
        (await Answer.To(client, "/datasets", new StringContent("""{"feedback": true, "folder": "/tmp"}""", Encoding.UTF8, "application/json"))).IsProblem(400, "invalid_option");

        Assert.Equal(201, (await Json(client, new JsonObject { ["photo"] = Convert.ToBase64String(_cat), ["caption"] = "A cat." })).Status);
        (await Json(client, new JsonObject { ["digest"] = new string('0', 64), ["caption"] = "A cat." })).IsProblem(409, "feedback_full");
    }

    [Fact]
    public async Task Who_captions_may_correct_and_the_audit_has_it_without_its_words()
    {
        await using ServiceFactory factory = Enabled(new() { ["Auth:FirstKey"] = ServiceFactory.FirstKey });
        using HttpClient admin = await factory.Start(ready: false, ServiceFactory.FirstKey);
        string key = (string)(await Answer.To(admin, "/keys", new StringContent("""{"name": "phone", "scope": "caption"}""", Encoding.UTF8, "application/json"))).Body["key"]!;
        using HttpClient phone = await factory.Start(ready: false, key);

        Answer sent = await Answer.To(phone, "/feedback", Service.Form([("cat.jpg", _cat)], ("caption", "A planted caption.")));

        Assert.Equal(201, sent.Status);
        (await Answer.Get(phone, "/feedback")).IsProblem(403, "scope_missing");
        JsonNode line = (await Answer.Get(admin, "/audit")).Body["entries"]![0]!;
        Assert.Equal(("PostFeedback", $"/feedback/{sent.Body["id"]}", "phone"), ((string)line["action"]!, (string)line["target"]!, (string)line["who"]!));
        Assert.DoesNotContain("planted", line.ToJsonString(), StringComparison.Ordinal);
        Assert.Equal((string?)sent.Body["keyId"], (string?)line["keyId"]);
    }

    private ServiceFactory Enabled(Dictionary<string, string> settings) => new(host =>
    {
        ServiceFactory.WithoutModels(host);
        host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Feedback:Enabled", "true");
        foreach ((string name, string value) in settings)
        {
            host.UseSetting(name, value);
        }
    });

    private static Task<Answer> Json(HttpClient client, JsonObject body) => Answer.To(client, "/feedback", new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"));

    private static async Task<int> Delete(HttpClient client, string address)
    {
        using HttpResponseMessage response = await client.DeleteAsync(address, Service.Cancellation);
        return (int)response.StatusCode;
    }
}
