using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.Models;

/// <summary>Servers with one database and one folder, as they stand behind a proxy.</summary>
public sealed class ReplicasTests(Databases databases, ShippedSmall shipped)
{
    [Fact]
    public async Task What_one_activates_answers_at_all_when_the_answer_comes_and_who_cannot_load_it_says_why()
    {
        Dictionary<string, string> database = await databases.Fresh("postgres");
        string folder = Directory.CreateTempSubdirectory("replicas-").FullName;
        List<ServiceFactory> servers = [Replica(database, folder), Replica(database, folder), Replica(database, folder: null)];
        try
        {
            HttpClient[] clients = [];
            foreach (ServiceFactory server in servers.Take(2))
            {
                clients = [.. clients, await server.Start(ready: true)];
            }
            await Until(async () => (await Replicas(clients[0])).Count == 2);
            int[] versions = [await Upload(clients[0], 1), await Upload(clients[1], 2), await Upload(clients[0], 3)];
            Assert.Equal([1, 2, 3], versions);      // whoever adds them

            // Each in turn, at the one and at the other.
            for (int change = 0; change < 4; change++)
            {
                Answer activated = await Activate(clients[change % 2], change % 2 + 1);
                Assert.Empty(activated.Body["notYetAt"]!.AsArray());
                foreach (HttpClient client in clients)
                {
                    Assert.Equal($"small@{change % 2 + 1}", await MadeBy(client));
                }
            }

            // One whose copy of the models lacks the third: it goes on with what it has, and says so.
            File.Copy(Path.Combine(folder, "folder-id"), Path.Combine(servers[2].Storage, "folder-id"));
            Copy(Path.Combine(folder, "models"), Path.Combine(servers[2].Storage, "models"), version => version != "3");
            HttpClient late = await servers[2].Start(ready: true);
            Assert.Equal("small@2", await MadeBy(late));        // what is active when it starts
            await Until(async () => (await Replicas(clients[0])).Count == 3);
            JsonNode behind = Assert.Single((await Activate(clients[0], 3)).Body["notYetAt"]!.AsArray())!;
            Assert.False((bool)behind["current"]!);
            Assert.Contains("small@3 cannot be loaded", (string)behind["problem"]!, StringComparison.Ordinal);
            Assert.Equal(["small@3", "small@3", "small@2"], [await MadeBy(clients[0]), await MadeBy(clients[1]), await MadeBy(late)]);
            Assert.Equal("small@2", (await Replicas(late)).Count == 3 ? $"small@{await ActiveVersion(late)}" : "");
            Assert.Empty((await Activate(clients[1], 1)).Body["notYetAt"]!.AsArray());
            Assert.Equal("small@1", await MadeBy(late));

            // Who stops is no longer waited for.
            await servers[1].DisposeAsync();
            servers.RemoveAt(1);
            Assert.Empty((await Activate(late, 2)).Body["notYetAt"]!.AsArray());
            Assert.Equal("small@2", await MadeBy(clients[0]));
            await Until(async () => (await Replicas(late)).Count == 2);
        }
        finally
        {
            foreach (ServiceFactory server in servers)
            {
                await server.DisposeAsync();
            }
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Changes_made_everywhere_at_once_take_turns_and_none_is_lost()
    {
        Dictionary<string, string> database = await databases.Fresh("postgres");
        string folder = Directory.CreateTempSubdirectory("replicas-").FullName;
        ServiceFactory[] servers = [Replica(database, folder), Replica(database, folder)];
        try
        {
            HttpClient[] clients = await Task.WhenAll(servers.Select(server => server.Start(ready: true)));       // both open the registry at once
            int[] versions = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Upload(clients[i % 2], 10 + i)));
            Assert.Equal(Enumerable.Range(1, 8), versions.Order());
            Answer[] activated = await Task.WhenAll(versions.Select((version, i) => Activate(clients[i % 2], version)));
            Assert.All(activated, answer => Assert.Equal(200, answer.Status));

            string active = await MadeBy(clients[0]);
            Assert.Equal(active, await MadeBy(clients[1]));
            foreach (HttpClient client in clients)
            {
                JsonArray all = (await Answer.Get(client, "/models/small")).Body["versions"]!.AsArray();
                Assert.Equal(versions.Order(), all.Select(version => (int)version!["version"]!));
                Assert.Equal(active, $"small@{Assert.Single(all, version => (bool)version!["active"]!)!["version"]}");
            }
        }
        finally
        {
            foreach (ServiceFactory server in servers)
            {
                await server.DisposeAsync();
            }
            Directory.Delete(folder, recursive: true);
        }
    }

    private ServiceFactory Replica(Dictionary<string, string> database, string? folder) => new(host =>
    {
        foreach ((string name, string value) in database)
        {
            host.UseSetting(name, value);
        }
        host.UseSetting(ShippedSmall.Setting, shipped.Folder);
        if (folder is not null)
        {
            host.UseSetting("Storage:Folder", folder);
        }
    });

    private static void Copy(string from, string to, Func<string, bool> version)
    {
        foreach (string source in Directory.GetFiles(from, "*", SearchOption.AllDirectories).Where(file => version(Path.GetFileName(Path.GetDirectoryName(file)!))))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, source));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(source, target);
        }
    }

    private static async Task<int> ActiveVersion(HttpClient client) =>
        (int)(await Answer.Get(client, "/models/small")).Body["versions"]!.AsArray().Single(version => (bool)version!["active"]!)!["version"]!;

    private static async Task<int> Upload(HttpClient client, int seed)
    {
        Answer added = await Answer.To(client, "/models", Service.Bytes(ModelService.Bundle(seed), "application/zip"));
        Assert.True(added.Status == 201, added.Body.ToJsonString());
        return (int)added.Body["version"]!;
    }

    private static Task<Answer> Activate(HttpClient client, int version) => Answer.To(client, $"/models/small/versions/{version}/activate", new ByteArrayContent([]));

    private static async Task<string> MadeBy(HttpClient client) => ModelService.MadeBy(await Answer.To(client, "/captions", Service.Bytes(ModelService.Small)));

    private static async Task<JsonArray> Replicas(HttpClient client) => (await Answer.Get(client, "/models")).Body["replicas"]!.AsArray();

    private static async Task Until(Func<Task<bool>> isSo)
    {
        while (!await isSo())
        {
            await Task.Delay(100, Service.Cancellation);
        }
    }
}
