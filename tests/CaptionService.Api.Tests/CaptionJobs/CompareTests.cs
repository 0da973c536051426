using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Models;

namespace CaptionService.Api.Tests.CaptionJobs;

/// <summary>What another model would change.</summary>
public sealed class CompareTests(ModelServiceOnSqlite service) : IClassFixture<ModelServiceOnSqlite>
{
    [Fact]
    public async Task Captions_that_differ_stand_side_by_side_the_worst_change_first()
    {
        await service.Activate("small", (int)(await service.Upload(ModelService.Bundle(21, calibrated: true))).Body["version"]!);
        string first = (await Jobs.Send(service.Client, Jobs.Many(6), "?count=2&maxLength=6")).Id();
        await Jobs.Until(service.Client, first, "succeeded");
        int other = (int)(await service.Upload(ModelService.Bundle(22, calibrated: true))).Body["version"]!;

        string second = (await Compare(first, $"small@{other}")).Id();
        JsonNode job = await Jobs.Until(service.Client, second, "succeeded");
        Assert.Equal((first, $"small@{other}", "2"), ((string?)job["comparesWith"], (string?)job["models"]![0], (string?)job["options"]!["count"]));

        JsonNode[] old = await Jobs.Results(service.Client, first), made = await Jobs.Results(service.Client, second);
        Jobs.EachOnce(made, 6);
        int[] differ = [.. Enumerable.Range(0, 6).Where(i => Best(old[i]) != Best(made[i])).Select(i => i + 1)];
        Assert.NotEmpty(differ);
        JsonNode found = (await Answer.Get(service.Client, $"/caption-jobs/{second}/changes")).Body;
        Assert.Equal((6, differ.Length), ((int)found["compared"]!, (int)found["changed"]!));
        JsonNode[] changes = [.. found["changes"]!.AsArray().Select(change => change!)];
        Assert.Equal(differ, changes.Select(change => (int)change["number"]!).Order());
        double[] lost = [.. changes.Select(change => (double)change["confidenceChange"]!)];
        Assert.Equal(lost.Order(), lost);
        Assert.All(changes, change =>
        {
            int number = (int)change["number"]!;
            Assert.Equal((Best(old[number - 1]), Best(made[number - 1])), ((string?)change["old"]!["text"], (string?)change["new"]!["text"]));
            Assert.InRange((double)change["commonWords"]!, 0, 1);
        });
        Assert.Equal(changes[1]["number"]!.ToJsonString(), (await Answer.Get(service.Client, $"/caption-jobs/{second}/changes?offset=1&limit=1")).Body["changes"]![0]!["number"]!.ToJsonString());

        (await Answer.Get(service.Client, $"/caption-jobs/{first}/changes")).IsProblem(409, "job_state");
        (await Compare(first, "nobody")).IsProblem(404, "model_not_found");
        using HttpResponseMessage kept = await service.Client.DeleteAsync($"/caption-jobs/{first}", Service.Cancellation);
        (await Answer.Read(kept)).IsProblem(409, "job_state");
    }

    private static string? Best(JsonNode result) => (string?)result["captions"]![0]!["text"];

    private Task<Answer> Compare(string job, string model) =>
        Answer.To(service.Client, $"/caption-jobs/{job}/compare", new StringContent($$"""{"model": "{{model}}"}""", new MediaTypeHeaderValue("application/json")));
}
