using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;

namespace CaptionService.Api.Tests.CaptionJobs;

/// <summary>Caption jobs as callers ask for them.</summary>
internal static class Jobs
{
    /// <summary>Photos enough to be in the middle of them: the samples over and over, small.</summary>
    public static byte[] Many(int photos) =>
        Made.Zip(Enumerable.Range(0, photos).Select(i => ($"{i:D4}.jpg", Made.SmallPhotos.Values.ElementAt(i % Made.SmallPhotos.Count))));

    public static async Task<Answer> Send(HttpClient client, byte[] archive, string query = "")
    {
        using var form = Service.Form([]);
        form.Add(new ByteArrayContent(archive), "archive", "photos.zip");
        return await Answer.To(client, "/caption-jobs" + query, form);
    }

    public static Task<Answer> SendJson(HttpClient client, string json) =>
        Answer.To(client, "/caption-jobs", new StringContent(json, new MediaTypeHeaderValue("application/json")));

    public static async Task<Answer> Post(HttpClient client, string path)
    {
        using HttpResponseMessage response = await client.PostAsync(path, null, Service.Cancellation);
        return await Answer.Read(response);
    }

    public static string Id(this Answer made)
    {
        Assert.True(made.Status == 202, made.Body.ToJsonString());
        string id = (string)made.Body["id"]!;
        Assert.Equal($"/caption-jobs/{id}", made.Headers.Location?.ToString());
        return id;
    }

    public static async Task<JsonNode> Until(HttpClient client, string id, Func<JsonNode, bool> enough)
    {
        while (true)
        {
            JsonNode job = (await Answer.Get(client, $"/caption-jobs/{id}")).Body;
            if (enough(job))
            {
                return job;
            }
            Assert.False((string?)job["state"] is "failed" or "succeeded" or "cancelled", job.ToJsonString());
            await Task.Delay(50, Service.Cancellation);
        }
    }

    public static Task<JsonNode> Until(HttpClient client, string id, string state) =>
        Until(client, id, job => (string?)job["state"] == state);

    /// <summary>All results as JSON lines.</summary>
    public static async Task<JsonNode[]> Results(HttpClient client, string id, string query = "") =>
        [.. (await client.GetStringAsync($"/caption-jobs/{id}/results?format=jsonl{query}", Service.Cancellation))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];

    /// <summary>Each photo has one result, in order.</summary>
    public static void EachOnce(JsonNode[] results, int photos)
    {
        Assert.Equal(Enumerable.Range(1, photos), results.Select(result => (int)result["number"]!));
        Assert.Equal(results.Select(result => (string)result["name"]!).Distinct().Order(StringComparer.Ordinal), results
            .Select(result => (string)result["name"]!));
    }
}
