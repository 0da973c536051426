using System.Text.Json.Nodes;
using CaptionService.Api.Storage;
using CaptionService.Api.Tests.TrainingJobs;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>A server that dies between the folder of a data set and its row, when it comes and when it goes, on both databases.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class BrokenOffTests(Databases databases, SharedFeatures features, ITestOutputHelper output)
{
    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task The_next_start_has_the_database_decide(string kind)
    {
        await using var service = new TrainingService(new(await databases.Fresh(kind)) { ["Datasets:Estimate"] = "false" }, features, output);
        await service.Start();
        JsonNode kept = await Upload();
        while ((string?)(kept = (await Answer.Get(service.Client, $"/datasets/{kept["id"]}")).Body)["status"] == "checking")
        {
            await Task.Delay(50, Service.Cancellation);
        }
        string folder = Path.Combine(service.Storage, "datasets", (string)kept["id"]!);

        // It dies when the upload's folder is in its place and its row is not.
        await Dies(Upload);
        Assert.Equal([folder], Directory.GetDirectories(Path.Combine(service.Storage, "datasets")));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(service.Storage, "tmp")));
        Assert.Equal(1, (int)(await Answer.Get(service.Client, "/datasets")).Body["total"]!);

        // It dies when the folder is taken away and the row is still there.
        await Dies(() => service.Client.DeleteAsync($"/datasets/{kept["id"]}", Service.Cancellation));
        Assert.Equal([folder], Directory.GetDirectories(Path.Combine(service.Storage, "datasets")));
        Assert.Equal(kept.ToJsonString(), (await Answer.Get(service.Client, $"/datasets/{kept["id"]}")).Body.ToJsonString());
        Assert.Equal(6, (int)(await Answer.Get(service.Client, $"/datasets/{kept["id"]}/items")).Body["total"]!);

        // Or when the row is gone and the folder is still there.
        Directory.Move(folder, folder + ".unsettled");
        await service.Kill();
        await using (CaptionDb db = service.Database())
        {
            await db.Datasets.ExecuteDeleteAsync(Service.Cancellation);
        }
        await service.Start();
        Assert.Empty(Directory.GetDirectories(Path.Combine(service.Storage, "datasets")));

        async Task<JsonNode> Upload()
        {
            var form = new MultipartFormDataContent { { new ByteArrayContent(Made.Zip(Made.Files)), "archive", "set.zip" } };
            Answer created = await Answer.To(service.Client, "/datasets", form);
            Assert.True(created.Status == 201, created.Body.ToJsonString());
            return created.Body;
        }

        // The database lets nobody write: the request stops there.
        async Task Dies(Func<Task> request)
        {
            await using CaptionDb db = service.Database();
            await db.Database.OpenConnectionAsync(Service.Cancellation);
            await db.Database.ExecuteSqlRawAsync(kind == "sqlite" ? "BEGIN IMMEDIATE" : "BEGIN; LOCK TABLE \"Datasets\" IN SHARE MODE", Service.Cancellation);
            Task asked = request();
            while (Directory.GetDirectories(Path.Combine(service.Storage, "datasets"), "*.unsettled").Length == 0)
            {
                Assert.False(asked.IsCompleted);
                await Task.Delay(20, Service.Cancellation);
            }
            await service.Kill();
            await Assert.ThrowsAnyAsync<HttpRequestException>(() => asked);
            if (kind == "postgres")
            {
                // Its sessions would go on without it as soon as they may.
                await db.Database.ExecuteSqlRawAsync("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", Service.Cancellation);
            }
            await db.Database.ExecuteSqlRawAsync("ROLLBACK", Service.Cancellation);
            await db.Database.CloseConnectionAsync();
            await service.Start();
        }
    }
}
