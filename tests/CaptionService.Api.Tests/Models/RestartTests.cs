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

    private ServiceFactory Over(string storage) => new(host =>
    {
        host.UseSetting("Storage:Folder", storage);
        host.UseSetting(ShippedSmall.Setting, shipped.Folder);
    });
}
