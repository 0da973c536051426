using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>Servers that share a database, or a folder.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class SeveralServersTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    [Fact]
    public async Task With_one_database_and_folders_of_their_own_each_works_on_its_own_and_sees_nothing_else()
    {
        Dictionary<string, string> database = await databases.Fresh("postgres");
        await using var one = new TrainingService(database, features, output);
        await using var other = new TrainingService(database, features, output);
        await Task.WhenAll(one.Start(), other.Start());     // both bring the schema up to date
        TrainingService[] services = [one, other];
        string[] datasets = [await one.AddDataset(), await other.AddDataset()];

        // Several each, at once: whoever looks finds both servers' jobs in the table.
        var jobs = new List<(TrainingService Service, string Id)>();
        for (int i = 0; i < 4; i++)
        {
            jobs.Add((services[i % 2], await services[i % 2].StartJob(datasets[i % 2], SmallDataset.Job(3))));
        }
        foreach ((TrainingService service, string id) in jobs)
        {
            JsonNode job = await service.Until(id, "succeeded");
            Assert.Equal(1, (int)job["attempt"]!);
            Assert.True(File.Exists(service.JobFile(id, "model/model.json")));
            Assert.Equal(1, service.Said.Count(line => line.Contains(id, StringComparison.Ordinal) && line.Contains("attempt 1 starts", StringComparison.Ordinal)));
            TrainingService stranger = services.Single(s => s != service);
            Assert.False(Directory.Exists(stranger.JobFile(id, "")));
            Assert.DoesNotContain(stranger.Said, line => line.Contains(id, StringComparison.Ordinal));
            (await Answer.Get(stranger.Client, $"/training-jobs/{id}")).IsProblem(404, "job_not_found");
        }
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal([.. jobs.Where(j => j.Service == services[i]).Select(j => j.Id).Reverse()], (await Answer.Get(services[i].Client, "/training-jobs")).Body["jobs"]!.AsArray().Select(j => (string)j!["id"]!));
            Assert.Equal(datasets[i], (string?)Assert.Single((await Answer.Get(services[i].Client, "/datasets")).Body["datasets"]!.AsArray())!["id"]);
            (await Answer.Get(services[i].Client, $"/datasets/{datasets[1 - i]}")).IsProblem(404, "dataset_not_found");
            // The same name and versions in both: each registry counts for itself.
            Assert.Equal([1, 2], (await Answer.Get(services[i].Client, "/models/samples")).Body["versions"]!.AsArray().Select(v => (int)v!["version"]!).Order());
        }
        await using CaptionDb db = one.Database();
        Assert.Equal(4, await db.TrainingJobs.IgnoreQueryFilters().CountAsync(Service.Cancellation));
    }

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task With_one_folder_one_works_and_the_other_takes_over_when_it_dies(string kind)
    {
        Dictionary<string, string> database = await databases.Fresh(kind);
        await using var one = new TrainingService(database, features, output);
        await one.Start();
        await using var other = new TrainingService(database, features, output, one.Storage);
        await other.Start();

        // Asked of the one that waits, made by the one that works.
        string job = await other.StartJob(await one.AddDataset(), SmallDataset.Job(60));
        await other.Further(job, attempt: 1);
        Assert.Contains(one.Said, line => line.Contains(job, StringComparison.Ordinal));
        Assert.DoesNotContain(other.Said, line => line.Contains(job, StringComparison.Ordinal));

        await one.Kill();
        JsonNode ended = await other.Until(job, "succeeded");
        Assert.Equal(2, (int)ended["attempt"]!);
        Assert.Contains(other.Said, line => line.Contains(job, StringComparison.Ordinal));
        Assert.Equal(Enumerable.Range(1, 60), (await other.Events(job)).Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("epoch").GetInt32()));
    }
}
