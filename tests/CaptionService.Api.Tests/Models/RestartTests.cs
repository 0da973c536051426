using CaptionService.Captioning.Models;

namespace CaptionService.Api.Tests.Models;

/// <summary>What was active is active again when the service comes back.</summary>
public sealed class RestartTests(ShippedSmall shipped)
{
    [Fact]
    public async Task After_a_restart_the_activated_version_is_active_and_a_lost_one_gives_way_to_the_shipped()
    {
        string storage = Directory.CreateTempSubdirectory("captionservice-").FullName;
        try
        {
            await using (var first = Over(storage))
            {
                HttpClient client = await first.Start(ready: true);
                Assert.Equal(201, (await Answer.To(client, "/models", Service.Bytes(ModelService.Bundle(13)))).Status);
                Assert.Equal(200, (await Answer.To(client, "/models/small/versions/1/activate", new ByteArrayContent([]))).Status);
            }
            await using (var second = Over(storage))
            {
                HttpClient client = await second.Start(ready: true);
                Assert.Equal("small@1", ModelService.MadeBy(await Answer.To(client, "/captions", Service.Bytes(ModelService.Small))));
                Assert.Equal(ShippedSmall.Name, (string?)(await Answer.To(client, "/models/small/rollback", new ByteArrayContent([]))).Body["name"]);
                Assert.Equal(200, (await Answer.To(client, "/models/small/versions/1/activate", new ByteArrayContent([]))).Status);
            }
            File.Delete(Path.Combine(storage, "models", "small", "1", BundleFiles.Decoder));
            await using (var third = Over(storage))
            {
                HttpClient client = await third.Start(ready: true);
                Assert.Equal(ShippedSmall.Name + "@1", ModelService.MadeBy(await Answer.To(client, "/captions", Service.Bytes(ModelService.Small))));
            }
        }
        finally
        {
            Directory.Delete(storage, recursive: true);
        }
    }

    [Fact]
    public async Task What_a_death_left_between_a_folder_and_its_row_is_tidied_up_at_the_next_start()
    {
        string storage = Directory.CreateTempSubdirectory("captionservice-").FullName, models = Path.Combine(storage, "models", "small");
        try
        {
            await using (var first = Over(storage))
            {
                HttpClient client = await first.Start(ready: true);
                for (int version = 1; version <= 2; version++)
                {
                    Assert.Equal(201, (await Answer.To(client, "/models", Service.Bytes(ModelService.Bundle(13)))).Status);
                }
                Assert.Equal(204, (int)(await client.DeleteAsync("/models/small/versions/2", Service.Cancellation)).StatusCode);
                Assert.Equal([Path.Combine(models, "1")], Directory.GetFileSystemEntries(models));
            }
            Copy("2");      // its row says deleted, its folder is still there
            Copy("3");      // its folder is there, its row not yet
            await File.WriteAllBytesAsync(Path.Combine(models, "3.unsettled"), [], Service.Cancellation);
            await File.WriteAllBytesAsync(Path.Combine(models, "1.unsettled"), [], Service.Cancellation);       // both are there, and the mark still
            await using (var second = Over(storage))
            {
                HttpClient client = await second.Start(ready: true);
                Assert.Equal([Path.Combine(models, "1")], Directory.GetFileSystemEntries(models));
                Assert.Equal("small@1", ModelService.MadeBy(await Answer.To(client, "/captions?model=small", Service.Bytes(ModelService.Small))));
            }
        }
        finally
        {
            Directory.Delete(storage, recursive: true);
        }

        void Copy(string version)
        {
            Directory.CreateDirectory(Path.Combine(models, version));
            foreach (string file in Directory.GetFiles(Path.Combine(models, "1")))
            {
                File.Copy(file, Path.Combine(models, version, Path.GetFileName(file)));
            }
        }
    }

    private ServiceFactory Over(string storage) => new(host =>
    {
        host.UseSetting("Storage:Folder", storage);
        host.UseSetting(ShippedSmall.Setting, shipped.Folder);
    });
}
