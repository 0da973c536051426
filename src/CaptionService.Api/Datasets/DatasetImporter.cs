using CaptionService.Api.Storage;
using CaptionService.Captioning.Encoders;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Datasets;

/// <summary>
/// From a request to a data set that waits for its inspection, and out again. What fails on the way leaves nothing behind.
/// While folder and database change one after the other, the folder is unsettled, by its name: should this server die
/// between the two, the next start has the database decide.
/// </summary>
internal sealed class DatasetImporter(DatasetUpload upload, IDbContextFactory<CaptionDb> databases, IOptions<StorageOptions> storage, IOptions<DatasetsOptions> options, TimeProvider time) : IDisposable
{
    private const string Suffix = ".unsettled";

    // Unpacking is work of the disk and of one core: several at once would only take turns.
    private readonly SemaphoreSlim _unpacking = new(1);

    /// <summary>Takes in what a request brings.</summary>
    /// <returns>The data set, not yet in the database: after that, <see cref="Settle"/>.</returns>
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
            Directory.Move(canonical, Folder(id) + Suffix);
            return new Dataset { Id = id, Name = wanted.Name, Language = wanted.Language, Status = DatasetStatus.Checking, CreatedAt = time.GetUtcNow() };
        }
        finally
        {
            WholeFolder.Remove(temporary);
        }
    }

    /// <summary>The database has the data set: its folder gets, or gets back, its name.</summary>
    public void Settle(string id) => WholeFolder.Move(Folder(id) + Suffix, Folder(id));

    /// <summary>The database is about to lose the data set. Needs no room on the disk.</summary>
    public void Unsettle(string id) => WholeFolder.Move(Folder(id), Folder(id) + Suffix);

    /// <summary>Removes the unsettled folder of a data set that the database does not have; in one step, so that the rest is not taken for a data set.</summary>
    public void Delete(string id)
    {
        string gone = Path.Combine(storage.Value.Temporary, $"{id}.deleted");
        WholeFolder.Move(Folder(id) + Suffix, gone);
        WholeFolder.Remove(gone);
    }

    /// <summary>Data sets whose folder is there: which are unsettled.</summary>
    public IEnumerable<(string Id, bool Unsettled)> Folders() => Directory.EnumerateDirectories(storage.Value.Datasets).Select(path => Path.GetFileName(path))
        .Select(name => name.EndsWith(Suffix, StringComparison.Ordinal) ? (name[..^Suffix.Length], true) : (name, false));

    public void Dispose() => _unpacking.Dispose();

    private async Task Write(DatasetRequest wanted, string temporary, string canonical, CancellationToken cancellation)
    {
        var raw = new RawFiles();
        string unpacked = Path.Combine(temporary, "unpacked");
        Directory.CreateDirectory(unpacked);
        if (wanted.Folder is { } folder)
            ServerFolder.List(ServerFolder.Resolve(folder, options.Value.ImportFolders), raw, options.Value, cancellation);
        if (wanted.Feedback)
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            await FeedbackCaptions.List(db, storage.Value, wanted.Language, unpacked, raw, cancellation);
        }
        var unpacker = new Unpacker(unpacked, options.Value, raw);
        foreach ((string name, string path) in wanted.Files)
        {
            string shown = name.Quoted();
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
                    throw new ProblemException(ProblemTable.UnknownArchive, $"'{shown}' is neither zip, tar or tar.gz, nor captions, features or a photo{(Photo.FormatOf(RawFiles.Head(path)) is var format && format != Photo.OtherFormat ? $", but {format}" : "")}.");
            }
        }
        await new CanonicalForm(raw, wanted.Language, options.Value).Write(canonical, cancellation);
    }

    private string Folder(string id) => Path.Combine(storage.Value.Datasets, id);
}
