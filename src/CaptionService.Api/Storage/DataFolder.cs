using Microsoft.Extensions.Options;

namespace CaptionService.Api.Storage;

/// <summary>
/// The data folder of this server: under which id the database has its rows, and whether this server is the one that works
/// in it. Servers with folders of their own may share a database; of servers with the same folder one works, the others wait.
/// </summary>
public sealed partial class DataFolder(IOptions<StorageOptions> storage, ILogger<DataFolder> logger) : IDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);

    private readonly string _path = Path.GetFullPath(storage.Value.Folder);
    private readonly Lock _turn = new();
    private FileStream? _held;
    private string? _id;

    /// <summary>Made at the folder's first use and kept in it, so that the folder can be moved.</summary>
    public string Id => _id ??= ReadId();

    /// <summary>Whether this server has the work in the folder.</summary>
    public bool Held
    {
        get { lock (_turn) { return _held is not null; } }
    }

    /// <summary>Takes the work in the folder, until this server ends, where no other server has it.</summary>
    /// <returns>Whether this server has it.</returns>
    public bool TryHold()
    {
        lock (_turn)
        {
            try
            {
                _held ??= new FileStream(Path.Combine(_path, "server.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                // Another server's, or no room for the file.
            }
            return _held is not null;
        }
    }

    /// <summary>Waits until this server has the work in the folder: then no other is in the middle of it.</summary>
    public async Task Hold(TimeProvider time, CancellationToken stopping)
    {
        for (bool said = false; !TryHold(); said = true)
        {
            if (!said)
                Log.NotAlone(logger, _path);
            await Task.Delay(Look, time, stopping);
        }
    }

    /// <inheritdoc />
    public void Dispose() => _held?.Dispose();

    private string ReadId()
    {
        string file = Path.Combine(_path, "folder-id");
        if (!File.Exists(file))
        {
            Directory.CreateDirectory(_path);
            string temporary = $"{file}.{Ids.New()}.tmp";
            try
            {
                File.WriteAllText(temporary, Ids.New());
                File.Move(temporary, file, overwrite: false);
            }
            catch (IOException) when (File.Exists(file))
            {
                // Another server was faster.
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        return File.ReadAllText(file);
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "Another server runs the jobs in {Folder}; this one waits")]
        public static partial void NotAlone(ILogger logger, string folder);
    }
}
