using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;

namespace CaptionService.Api.Tests.CaptionJobs;

/// <summary>Many photos in one job, with the models of the product.</summary>
public sealed class CaptionJobsTests(Service service)
{
    private HttpClient Client => service.Client;

    [Fact]
    public async Task Each_photo_of_an_archive_has_its_captions_or_its_problem_in_order()
    {
        (string, byte[])[] files =
        [
            ("z/last.jpg", Made.SmallPhotos["cat.jpg"]), ("broken.jpg", Made.SmallPhotos["temple.jpg"][..400]), ("empty.png", []),
                ("letter.jpg", "Dear Sir,"u8.ToArray()), ("=1+1.jpg", Made.SmallPhotos["rocket.jpg"]),
            ("notes.txt", "no photo, and not called one"u8.ToArray()), ("old.bmp", [(byte)'B', (byte)'M', .. new byte[60]]),
        ];
        string id = (await Jobs.Send(Client, Made.Zip(files), "?count=2&language=en,de")).Id();
        JsonNode job = await Jobs.Until(Client, id, "succeeded");

        Assert.Equal(("archive", 6, 6, 4), ((string?)job["source"], (int)job["photos"]!, (int)job["done"]!, (int)job["problems"]!));
        Assert.Equal("2", (string?)job["options"]!["count"]);
        Assert.Equal(2, job["models"]!.AsArray().Count);
        JsonNode[] results = await Jobs.Results(Client, id);
        Jobs.EachOnce(results, 6);
        Assert.Equal(["=1+1.jpg", "broken.jpg broken_photo", "empty.png empty", "letter.jpg not_a_photo", "old.bmp not_a_photo",
            "z/last.jpg"], results.Select(result => $"{result["name"]} {result["problem"]?["code"]}".TrimEnd()));
        Assert.Contains(ProblemTable.BrokenPhoto.WhatToDo, (string)results[1]["problem"]!["detail"]!, StringComparison.Ordinal);
        Answer alone = await service.Caption(Made.SmallPhotos["cat.jpg"], "?count=2&language=en,de");
        Assert.Equal(alone.Captions().Select(caption => (string)caption!["text"]!), results[5]["captions"]!.AsArray()
            .Select(caption => (string)caption!["text"]!));

        // Pages, and the same as a table.
        JsonNode page = (await Answer.Get(Client, $"/caption-jobs/{id}/results?offset=4&limit=1")).Body;
        Assert.Equal((6, 4, "old.bmp"),
            ((int)page["photos"]!, (int)page["offset"]!, (string?)Assert.Single(page["results"]!.AsArray())!["name"]));
        Assert.Equal([5, 6], (await Jobs.Results(Client, id, "&offset=4")).Select(result => (int)result["number"]!));
        using var asked = new HttpRequestMessage(HttpMethod.Get, $"/caption-jobs/{id}/results") { Headers = { { "Accept", "text/csv" } } };
        using HttpResponseMessage csv = await Client.SendAsync(asked, Service.Cancellation);
        string[] rows = (await csv.Content.ReadAsStringAsync(Service.Cancellation)).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("text/csv", csv.Content.Headers.ContentType?.MediaType);
        Assert.Equal(1 + 4 + 4 + 4, rows.Length);
        Assert.StartsWith("1,'=1+1.jpg,120,", rows[1], StringComparison.Ordinal);
        Assert.StartsWith("2,broken.jpg,,,,,,,,,broken_photo,\"", rows[5], StringComparison.Ordinal);
        Assert.Contains($",de,1,{results[5]["captions"]![2]!["text"]},", rows[11], StringComparison.Ordinal);

        // The stream of a job that has ended has the job once; and who has seen it is sent away.
        string events = await Client.GetStringAsync($"/caption-jobs/{id}/events", Service.Cancellation);
        Assert.Contains("event: job\ndata: {", events, StringComparison.Ordinal);
        using var again = new HttpRequestMessage(HttpMethod.Get, $"/caption-jobs/{id}/events");
        again.Headers.Add("Last-Event-ID", events.Split('\n')[0]["id: ".Length..]);
        using HttpResponseMessage nothing = await Client.SendAsync(again, Service.Cancellation);
        Assert.Equal(204, (int)nothing.StatusCode);

        Assert.Equal(id, (string?)(await Answer.Get(Client, "/caption-jobs?limit=1")).Body["jobs"]![0]!["id"]);
        (await Jobs.Post(Client, $"/caption-jobs/{id}/cancel")).IsProblem(409, "job_state");
        using HttpResponseMessage deleted = await Client.DeleteAsync($"/caption-jobs/{id}", Service.Cancellation);
        Assert.Equal(204, (int)deleted.StatusCode);
        Assert.False(Directory.Exists(Path.Combine(service.Storage, "caption-jobs", id)));
        (await Answer.Get(Client, $"/caption-jobs/{id}")).IsProblem(404, "caption_job_not_found");
    }

    [Fact]
    public async Task A_job_is_cancelled_and_goes_on_where_it_was()
    {
        string id = (await Jobs.Send(Client, Jobs.Many(40), "?count=1&beamWidth=2")).Id();
        Task<string> events = Client.GetStringAsync($"/caption-jobs/{id}/events", Service.Cancellation);
        JsonNode some = await Jobs.Until(Client, id, job => (int)job["done"]! > 0);
        Assert.True((double)some["photosPerSecond"]! > 0 && (double)some["secondsLeft"]! > 0, some.ToJsonString());
        Assert.Equal(202, (await Jobs.Post(Client, $"/caption-jobs/{id}/cancel")).Status);
        JsonNode cancelled = await Jobs.Until(Client, id, "cancelled");
        JsonNode[] before = await Jobs.Results(Client, id);
        Assert.InRange(before.Length, 1, 39);
        Assert.Equal(before.Length, (int)cancelled["done"]!);
        Assert.Contains("\"state\":\"running\"", await events, StringComparison.Ordinal);
        Assert.Contains("\"state\":\"cancelled\"", await events, StringComparison.Ordinal);

        Assert.Equal(202, (await Jobs.Post(Client, $"/caption-jobs/{id}/resume")).Status);
        await Jobs.Until(Client, id, "succeeded");

        JsonNode[] results = await Jobs.Results(Client, id);
        Jobs.EachOnce(results, 40);
        Assert.Equal(before.Select(result => result.ToJsonString()), results.Take(before.Length).Select(result => result.ToJsonString()));
        Assert.Equal((string?)results[1]["captions"]![0]!["text"], (string?)results[37]["captions"]![0]!["text"]);     // the same photo
    }

    [Fact]
    public async Task Photos_of_a_data_set_and_of_a_folder_are_captioned()
    {
        using var form = Service.Form([]);
        form.Add(new ByteArrayContent(Made.Zip(Made.Files)), "archive", "set.zip");
        string dataset = (string)(await Answer.To(Client, "/datasets", form)).Body["id"]!;
        string ofDataset = (await Jobs.SendJson(Client, $$"""{"dataset": "{{dataset}}", "count": 1, "language": ["en"]}""")).Id();
        string ofFolder = (await Jobs.SendJson(Client, """{"folder": "samples/224", "count": 1}""")).Id();
        await Jobs.Until(Client, ofDataset, "succeeded");
        await Jobs.Until(Client, ofFolder, "succeeded");

        Assert.Equal(Made.SmallPhotos.Keys.Order(StringComparer.Ordinal), (await Jobs.Results(Client, ofDataset))
            .Select(result => (string)result["name"]!));
        JsonNode[] samples = await Jobs.Results(Client, ofFolder);
        Jobs.EachOnce(samples, Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "samples", "224")).Length);
        Assert.All(samples, result => Assert.NotEmpty(result["captions"]!.AsArray()));
    }

    [Theory]
    [InlineData("""{"folder": "nobody"}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "samples/.."}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "samples/224/../../.."}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "samples//etc"}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "/etc"}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "samples/\u0000"}""", 403, "folder_not_allowed")]
    [InlineData("""{"folder": "samples/nowhere"}""", 400, "invalid_option")]
    [InlineData("""{"dataset": "aaaaaaaaaaaa"}""", 404, "dataset_not_found")]
    [InlineData("""{"dataset": "aaaaaaaaaaaa", "folder": "samples"}""", 400, "no_source")]
    [InlineData("""{"count": 2}""", 400, "no_source")]
    [InlineData("""{"folder": "samples", "count": 99}""", 400, "invalid_option")]
    [InlineData("""{"folder": "samples", "colour": "red"}""", 400, "invalid_option")]
    [InlineData("""{"folder": "samples", "model": "nobody"}""", 404, "model_not_found")]
    [InlineData("[", 400, "malformed_body")]
    public async Task What_cannot_be_a_job_is_refused(string json, int status, string code) =>
        (await Jobs.SendJson(Client, json)).IsProblem(status, code);

    [Fact]
    public async Task Archives_without_photos_and_with_harm_are_refused_and_leave_nothing()
    {
        (await Jobs.Send(Client, Made.Zip([("notes.txt", "nothing"u8.ToArray())]))).IsProblem(422, "no_photos_found");
        (await Jobs.Send(Client, "no archive"u8.ToArray())).IsProblem(415, "unknown_archive");
        (await Jobs.Send(Client, Made.Zip([("../out.jpg", Photos.Cat)]))).IsProblem(422, "unsafe_archive");
        Assert.Empty(Directory.GetDirectories(Path.Combine(service.Storage, "tmp")));
    }
}
