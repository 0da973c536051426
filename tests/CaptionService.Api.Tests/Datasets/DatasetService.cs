using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;

[assembly: AssemblyFixture(typeof(DatasetService))]

namespace CaptionService.Api.Tests.Datasets;

/// <summary>A service without a model, so that it starts at once: data sets need none.</summary>
public sealed class DatasetService : IAsyncLifetime
{
    public string Imports { get; } = Directory.CreateTempSubdirectory("imports-").FullName;

    public ServiceFactory Factory { get; }

    public HttpClient Client { get; private set; } = null!;

    public DatasetService() => Factory = new ServiceFactory(host =>
    {
        host.UseSetting("Datasets:Estimate", "false");
        host.UseSetting("Datasets:ImportFolders:0", Imports);
        host.UseSetting("Datasets:MaxUnpackedBytes", "900000000");
        ServiceFactory.WithoutModels(host);
    });

    public async ValueTask InitializeAsync() => Client = await Factory.Start(ready: false);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Factory.DisposeAsync();
        Directory.Delete(Imports, recursive: true);
    }

    /// <summary>Sends files: the field's name, the file's name, its bytes.</summary>
    public Task<Answer> Send(IEnumerable<(string Field, string Name, byte[] Bytes)> files, params (string Name, string Value)[] fields)
    {
        var form = new MultipartFormDataContent();
        foreach ((string field, string name, byte[] bytes) in files)
        {
            form.Add(new ByteArrayContent(bytes), field, name);
        }
        foreach ((string name, string value) in fields)
        {
            form.Add(new StringContent(value), name);
        }
        return Answer.To(Client, "/datasets", form);
    }

    /// <summary>Sends an archive.</summary>
    public Task<Answer> Send(byte[] archive, string name = "set.zip", params (string Name, string Value)[] fields) => Send([("archive", name, archive)], fields);

    /// <summary>Sends a folder's name.</summary>
    public Task<Answer> SendJson(string json) =>
        Answer.To(Client, "/datasets", new StringContent(json, new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")));

    /// <summary>Waits for a data set's inspection.</summary>
    public async Task<JsonNode> Checked(Answer created)
    {
        Assert.True(created.Status == 201, created.Body.ToJsonString());
        JsonNode body;
        do
        {
            await Task.Delay(50, Service.Cancellation);
            body = (await Answer.Get(Client, $"/datasets/{created.Body["id"]}")).Body;
        }
        while ((string?)body["status"] == "checking");
        return body;
    }

    public async Task<int> Delete(string id)
    {
        using HttpResponseMessage response = await Client.DeleteAsync($"/datasets/{id}", Service.Cancellation);
        return (int)response.StatusCode;
    }

    /// <summary>What is in the folders of data sets and uploads.</summary>
    public string[] Left => [.. Directory.GetFileSystemEntries(Path.Combine(Factory.Storage, "tmp")), .. Directory.GetFileSystemEntries(Path.Combine(Factory.Storage, "datasets"))];
}
