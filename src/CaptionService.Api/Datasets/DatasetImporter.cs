using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>From a request to a data set that waits for its inspection. What fails on the way leaves nothing behind.</summary>
internal sealed class DatasetImporter(DatasetUpload upload, IOptions<StorageOptions> storage, IOptions<DatasetsOptions> options, TimeProvider time) : IDisposable
{
    // Unpacking is work of the disk and of one core: several at once would only take turns.
    private readonly SemaphoreSlim _unpacking = new(1);

    /// <summary>Takes in what a request brings.</summary>
    /// <returns>The data set, its folder in its place, not yet in the database.</returns>
    /// <exception cref="ProblemException">The request, or what it brought, is refused.</exception>
    public async Task<Dataset> Import(HttpRequest request, CancellationToken aborted)
    {
        string id = Ids.New(), temporary = Path.Combine(storage.Value.Temporary, id);
        Directory.CreateDirectory(temporary);
        try
        {
            DatasetRequest wanted = await upload.Read(request, temporary, aborted);
            string canonical = Path.Combine(temporary, "canonical");
            await _unpacking.WaitAsync(aborted);
            try
            {
                await Task.Run(() => Write(wanted, temporary, canonical, aborted), aborted);
            }
            finally
            {
                _unpacking.Release();
            }
            Directory.Move(canonical, Path.Combine(storage.Value.Datasets, id));
            return new Dataset { Id = id, Name = wanted.Name, Language = wanted.Language, Status = DatasetStatus.Checking, CreatedAt = time.GetUtcNow() };
        }
        finally
        {
            Remove(temporary);
        }
    }

    /// <summary>Removes a folder as one step: readers see all of it or nothing.</summary>
    public void Delete(string id)
    {
        string folder = Path.Combine(storage.Value.Datasets, id), gone = Path.Combine(storage.Value.Temporary, $"{id}.deleted");
        if (Directory.Exists(folder))
        {
            Directory.Move(folder, gone);
            Remove(gone);
        }
    }

    public void Dispose() => _unpacking.Dispose();

    private async Task Write(DatasetRequest wanted, string temporary, string canonical, CancellationToken cancellation)
    {
        var raw = new RawFiles();
        string unpacked = Path.Combine(temporary, "unpacked");
        Directory.CreateDirectory(unpacked);
        if (wanted.Folder is { } folder)
        {
            ServerFolder.List(ServerFolder.Resolve(folder, options.Value), raw, options.Value, cancellation);
        }
        var unpacker = new Unpacker(unpacked, options.Value, raw);
        foreach ((string name, string path) in wanted.Files)
        {
            string shown = RawFiles.Short(RawFiles.Printable(name));
            switch (RawFiles.KindOf(path))
            {
                case RawKind.Archive:
                    unpacker.Unpack(path, shown, cancellation);
                    File.Delete(path);
                    break;
                case RawKind.Text or RawKind.Array or RawKind.Photo when raw.Claim(shown):
                    raw.Files.Add(new RawFile(shown, path, RawFiles.KindOf(path), Owned: true));
                    break;
                default:
                    throw new ProblemException(ProblemTable.UnknownArchive, $"'{shown}' is neither zip, tar or tar.gz, nor captions, features or a photo.");
            }
        }
        await new CanonicalForm(raw, wanted.Language, options.Value).Write(canonical, cancellation);
    }

    private static void Remove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Moved as a whole, or never made.
        }
    }
}

/// <summary>Where a data set is in its life.</summary>
public static class DatasetStatus
{
    /// <summary>It is being looked through.</summary>
    public const string Checking = "checking";

    /// <summary>Jobs can train on it.</summary>
    public const string Ready = "ready";

    /// <summary>Its report has errors: no job starts.</summary>
    public const string Refused = "refused";
}
