using System.Text;
using System.Text.Json;
using CaptionService.Api.Datasets;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using TorchSharp;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>Files as they were sent, brought into the canonical form in a folder of their own.</summary>
public abstract class CanonicalFormCase : IDisposable
{
    protected static readonly string[] Photos = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"];

    protected string Folder { get; } = Directory.CreateTempSubdirectory("captions-").FullName;

    private protected RawFiles Raw { get; } = new();

    public void Dispose()
    {
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected void AddPhotos(string under = "")
    {
        foreach (string name in Photos)
        {
            Add(under + name, Made.SmallPhotos["cat.jpg"]);
        }
    }

    protected string AddText(string name, string text) => Add(name, Encoding.UTF8.GetBytes(text));

    protected void AddArray(string name, int rows, torch.ScalarType type)
    {
        string path = Path.Combine(Folder, $"in{Raw.Files.Count}");
        using var scope = torch.NewDisposeScope();
        Npy.Save(path, torch.tensor([.. Enumerable.Range(0, rows).Select(row => (float)row)]).unsqueeze(1).expand(rows, 8).to(type));
        Raw.Files.Add(new RawFile(name, path, RawFiles.KindOf(path), Owned: true));
    }

    protected string Add(string name, byte[] bytes)
    {
        string path = Path.Combine(Folder, $"in{Raw.Files.Count}");
        File.WriteAllBytes(path, bytes);
        Raw.Files.Add(new RawFile(name, path, RawFiles.KindOf(path), Owned: true));
        return path;
    }

    private protected async Task<DatasetImport> Write(string language = "en", bool copy = false, DatasetsOptions? options = null)
    {
        var raw = new RawFiles();
        raw.Files.AddRange(Raw.Files.Select(file => file with { Owned = !copy }));
        raw.Unread.AddRange(Raw.Unread);
        raw.Nested.AddRange(Raw.Nested);
        await new CanonicalForm(raw, language, options ?? new DatasetsOptions()).Write(Path.Combine(Folder, "out"), Service.Cancellation);
        return JsonSerializer.Deserialize<DatasetImport>(await File.ReadAllBytesAsync(Path.Combine(Folder, "out", DatasetFolder.Import), Service.Cancellation), TrainingEvent.Json)!;
    }

    private protected async Task Refused(ProblemKind kind, string detail, string language = "en")
    {
        var refused = await Assert.ThrowsAsync<ProblemException>(() => Write(language, copy: true));
        Assert.Equal(kind, refused.Kind);
        Assert.Contains(detail, refused.Message, StringComparison.Ordinal);
    }

    protected string[] Lines(string file) => File.ReadAllLines(Path.Combine(Folder, "out", file));
}
