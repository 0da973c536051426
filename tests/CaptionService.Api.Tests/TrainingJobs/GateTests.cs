using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using CaptionService.Api.Tests.Models;
using CaptionService.Captioning.Models;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>activateIfBetter, from the request to the model that answers: a real server, a real trainer, real evaluations.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class GateTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    private static readonly TimeSpan s_lease = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task A_better_model_is_put_into_service_and_its_job_keeps_its_server_while_it_is_compared()
    {
        await using var service = new TrainingService(new(await databases.Fresh()) { [ShippedSmall.Setting] = DefaultModels.EnglishFolder, ["Training:Lease"] = s_lease.ToString() }, features, output);
        await service.Start();
        string job = await service.StartJob(await service.AddDataset(byHeart: true), Job(epochs: 80, learningRate: 0.01));
        await service.Further(job, attempt: 1);
        IDisposable[] held = features.Hold();       // the evaluations must wait
        await Comparing(service, job);
        DateTimeOffset first = await LeaseUntil(service, job), now = first;
        while (now <= first + s_lease)              // renewed after it would have ended
        {
            await Task.Delay(100, Service.Cancellation);
            now = await LeaseUntil(service, job);
        }
        Release(held);

        JsonNode ended = await service.Until(job, "succeeded");

        Assert.Equal(1, (int)ended["attempt"]!);
        Assert.StartsWith("Activated: better: CIDEr +", (string?)ended["decision"], StringComparison.Ordinal);
        Assert.Contains("(samples@1 against everyday-en@1, 8 photos)", (string?)ended["decision"], StringComparison.Ordinal);
        Assert.Equal(("samples", 1), ((string?)ended["model"]!["name"], (int?)ended["model"]!["version"]));
        Answer caption = await Answer.To(service.Client, "/captions", Service.Bytes(Photos.Sample("cat")));
        Assert.Equal("samples@1", ModelService.MadeBy(caption));
    }

    [Fact]
    public async Task A_model_that_is_not_better_stays_out_and_a_cancel_ends_the_comparison()
    {
        await using var service = new TrainingService(new() { [ShippedSmall.Setting] = DefaultModels.EnglishFolder }, features, output);
        await service.Start();
        string job = await service.StartJob(await service.AddDataset(byHeart: true), Job(epochs: 60, learningRate: 0.000001));
        await service.Further(job, attempt: 1);
        IDisposable[] held = features.Hold();
        await Comparing(service, job);
        Assert.Equal(202, (await Answer.To(service.Client, $"/training-jobs/{job}/cancel", new ByteArrayContent([]))).Status);
        Assert.Null((await service.Until(job, "cancelled"))["decision"]);
        Release(held);
        Assert.Equal(202, (await Answer.To(service.Client, $"/training-jobs/{job}/resume", new ByteArrayContent([]))).Status);

        JsonNode ended = await service.Until(job, "succeeded");

        Assert.Equal(2, (int)ended["attempt"]!);
        Assert.Matches(@"^Not activated: (worse|no clear difference): CIDEr [+-]\d+\.\d, 95 % between [+-]\d+\.\d and [+-]\d+\.\d \(samples@1 against everyday-en@1, 8 photos\)", (string?)ended["decision"]);
        JsonArray models = (await Answer.Get(service.Client, "/models")).Body["models"]!.AsArray();
        Assert.Equal(["everyday-en", "samples"], models.Select(model => (string?)model!["name"]).Order(StringComparer.Ordinal));
        Assert.Single((await Answer.Get(service.Client, "/models/samples")).Body["versions"]!.AsArray());      // published once, though asked for twice
        Answer caption = await Answer.To(service.Client, "/captions", Service.Bytes(Photos.Sample("cat")));
        Assert.Equal("everyday-en@1", ModelService.MadeBy(caption));
    }

    private static JsonObject Job(int epochs, double learningRate)
    {
        JsonObject job = SmallDataset.Job(epochs);
        job["options"]!["learningRate"] = learningRate;
        job["options"]!["dropout"] = 0;
        job["options"]!["weightAverage"] = 0;        // too few steps for it
        job["activateIfBetter"] = true;
        return job;
    }

    private static async Task Comparing(TrainingService service, string job)
    {
        while ((string?)(await service.Until(job, "running"))["progress"]!["stage"] != "comparing")
        {
            await Task.Delay(50, Service.Cancellation);
        }
    }

    private static async Task<DateTimeOffset> LeaseUntil(TrainingService service, string job)
    {
        await using CaptionDb db = service.Database();
        return (await db.TrainingJobs.AsNoTracking().SingleAsync(j => j.Id == job, Service.Cancellation)).LeaseUntil!.Value;
    }

    private static void Release(IDisposable[] held)
    {
        foreach (IDisposable one in held)
        {
            one.Dispose();
        }
    }
}
