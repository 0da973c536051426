using System.Text.Json.Nodes;
using CaptionService.Api.Tests.TrainingJobs;

namespace CaptionService.Api.Tests.CaptionJobs;

/// <summary>A server that dies in the middle of a job.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class KilledTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task After_a_kill_in_the_middle_each_photo_has_one_result_in_order(string kind)
    {
        await using var service = new TrainingService(await databases.Fresh(kind), features, output);
        await Start(service);
        string id = (await Jobs.Send(service.Client, Jobs.Many(60), "?count=1")).Id();
        string file = Path.Combine(service.Storage, "caption-jobs", id, "results.jsonl");
        while (!File.Exists(file) || (await Jobs.Results(service.Client, id)).Length < 8)
        {
            await Task.Delay(20, Service.Cancellation);
        }
        await service.Kill();
        int before = (await File.ReadAllLinesAsync(file, Service.Cancellation)).Length;
        Assert.InRange(before, 8, 59);
        await File.AppendAllTextAsync(file, """{"number":9""", Service.Cancellation);      // as a write that was under way

        await Start(service);
        JsonNode job = await Jobs.Until(service.Client, id, "succeeded");

        Assert.Equal((60, 60, 0), ((int)job["photos"]!, (int)job["done"]!, (int)job["problems"]!));
        Jobs.EachOnce(await Jobs.Results(service.Client, id), 60);
    }

    [Fact]
    public async Task A_stop_puts_the_job_back_into_the_queue()
    {
        await using var service = new TrainingService(await databases.Fresh("sqlite"), features, output);
        await Start(service);
        string id = (await Jobs.Send(service.Client, Jobs.Many(60), "?count=1")).Id();
        await Jobs.Until(service.Client, id, job => (int)job["done"]! > 0);
        await service.Terminate();
        await using (var db = service.Database())
        {
            Assert.Equal(CaptionService.Api.Storage.JobState.Queued, (await db.CaptionJobs.FindAsync([id], Service.Cancellation))!.State);
        }

        await Start(service);
        await Jobs.Until(service.Client, id, "succeeded");
        Jobs.EachOnce(await Jobs.Results(service.Client, id), 60);
    }

    private static async Task Start(TrainingService service)
    {
        await service.Start();
        while (!(await service.Client.GetAsync("/health/ready", Service.Cancellation)).IsSuccessStatusCode)
        {
            await Task.Delay(50, Service.Cancellation);
        }
    }
}
