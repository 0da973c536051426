using System.Globalization;
using System.IO.Compression;
using System.Text.Json.Nodes;
using CaptionService.Api.Captions;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Tests;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Models;

/// <summary>Over an embedded database.</summary>
public sealed class ModelServiceOnSqlite(Databases databases, ShippedSmall shipped) : ModelService("sqlite", databases, shipped);

/// <summary>Over PostgreSQL.</summary>
public sealed class ModelServiceOnPostgres(Databases databases, ShippedSmall shipped) : ModelService("postgres", databases, shipped);

/// <summary>A service that keeps no model loaded but the active ones, takes bundles of 1 MB, and whose models can be held up.</summary>
public abstract class ModelService(string kind, Databases databases, ShippedSmall shipped) : IAsyncLifetime
{
    private volatile Func<CaptionBatch, CaptionBatch> _between = caption => caption;

    private ServiceFactory? _factory;
    private HttpClient? _client;
    private string? _missing;

    /// <summary>Skips the test that asks for it where there is no such database.</summary>
    public ServiceFactory Factory
    {
        get
        {
            Assert.SkipWhen(_missing is not null, _missing ?? "");
            return _factory!;
        }
    }

    public HttpClient Client
    {
        get
        {
            Assert.SkipWhen(_missing is not null, _missing ?? "");
            return _client!;
        }
    }

    public async ValueTask InitializeAsync()
    {
        _missing = await databases.Missing(kind);
        if (_missing is not null)
        {
            return;
        }
        Dictionary<string, string> database = await databases.Fresh(kind);
        _factory = new ServiceFactory(host =>
        {
            foreach ((string name, string value) in database)
            {
                host.UseSetting(name, value);
            }
            host.UseSetting(ShippedSmall.Setting, shipped.Folder);
            host.UseSetting("Models:KeepLoaded", "0");
            host.UseSetting("Models:MaxUploadBytes", "1000000");
            host.ConfigureTestServices(services => services.AddSingleton<CaptionBatchWrapper>(caption => jobs => _between(caption)(jobs)));
        });
        _client = await _factory.Start(ready: true);
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (_factory is not null)
        {
            await _factory.DisposeAsync();
        }
    }

    /// <summary>Puts something between the worker and the model; null takes it away.</summary>
    public void Between(Func<CaptionBatch, CaptionBatch>? between) => _between = between ?? (caption => caption);

    public string FolderOf(string name, int version) => Path.Combine(Factory.Storage, "models", name, version.ToString(CultureInfo.InvariantCulture));

    public string[] Temporary => [.. Directory.EnumerateFileSystemEntries(Path.Combine(Factory.Storage, "tmp"))];

    /// <summary>Adds a version of 'small' with weights of its own.</summary>
    public async Task<(int Version, string Digest)> Add(int seed, string architecture = "top-down")
    {
        Answer added = await Upload(Bundle(seed, architecture));
        Assert.True(added.Status == 201, added.Body.ToJsonString());
        return ((int)added.Body["version"]!, (string)added.Body["digest"]!);
    }

    public Task<Answer> Upload(byte[] zip) => Answer.To(Client, "/models", Service.Bytes(zip, "application/zip"));

    public Task<Answer> Post(string path) => Answer.To(Client, path, new ByteArrayContent([]));

    public Task<Answer> Activate(string name, int version) => Post($"/models/{name}/versions/{version}/activate");

    public async Task<int> Delete(string name, int version)
    {
        using HttpResponseMessage response = await Client.DeleteAsync($"/models/{name}/versions/{version}", Service.Cancellation);
        return (int)response.StatusCode;
    }

    public Task<Answer> Caption(string query = "") => Answer.To(Client, "/captions" + query, Service.Bytes(Small));

    /// <summary>name@version that made an answer.</summary>
    public static string MadeBy(Answer answer)
    {
        Assert.True(answer.Status == 200, answer.Body.ToJsonString());
        return $"{answer.Body["models"]![0]!["name"]}@{answer.Body["models"]![0]!["version"]}";
    }

    /// <summary>name@version of the active one.</summary>
    public async Task<string> Active()
    {
        JsonNode first = (await Answer.Get(Client, "/models")).Body["models"]![0]!;
        Assert.True((bool)first["default"]!);
        return $"{first["name"]}@{first["version"]}";
    }

    public static byte[] Small { get; } = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", "cat.png"));

    /// <summary>The zip of a small bundle.</summary>
    public static byte[] Bundle(int seed, string architecture = "top-down", bool calibrated = false)
    {
        using var bundle = new SmallBundle(architecture, seed);
        if (calibrated)
        {
            bundle.Calibrate();
        }
        return Zip(Files(bundle));
    }

    public static (string Name, byte[] Bytes)[] Files(int seed)
    {
        using var bundle = new SmallBundle("top-down", seed);
        return Files(bundle);
    }

    public static byte[] Zip(IEnumerable<(string Name, byte[] Bytes)> files, Action<ZipArchiveEntry>? mark = null)
    {
        using var zip = new MemoryStream();
        using (var archive = new ZipArchive(zip, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach ((string name, byte[] bytes) in files)
            {
                ZipArchiveEntry entry = archive.CreateEntry(name);
                mark?.Invoke(entry);
                using Stream content = entry.Open();
                content.Write(bytes);
            }
        }
        return zip.ToArray();
    }

    private static (string, byte[])[] Files(SmallBundle bundle) =>
        [.. ((string[])[BundleFiles.Card, BundleFiles.Vocabulary, BundleFiles.Decoder, BundleFiles.Calibration])
            .Where(file => File.Exists(bundle.File(file))).Select(file => (file, File.ReadAllBytes(bundle.File(file))))];
}
