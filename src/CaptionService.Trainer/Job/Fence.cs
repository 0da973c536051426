using System.Globalization;

namespace CaptionService.Trainer.Job;

/// <summary>A later attempt has the job's folder.</summary>
public sealed class SupersededException(string message) : Exception(message);

/// <summary>
/// One attempt at a time writes in a job's folder: it holds the lock file, which its death releases, and looks before each
/// event and result whether <c>attempt</c> names a later one.
/// </summary>
internal sealed class Fence : IDisposable
{
    private const string LockName = "lock", AttemptName = "attempt";

    private readonly FileStream _lock;
    private readonly string _file;
    private readonly int _attempt;

    private Fence(FileStream locked, string file, int attempt) => (_lock, _file, _attempt) = (locked, file, attempt);

    /// <summary>Waits until no other process trains in the folder.</summary>
    /// <exception cref="SupersededException">A later attempt was begun.</exception>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public static Fence Enter(string folder, int attempt, CancellationToken stop)
    {
        while (true)
        {
            Check(Path.Combine(folder, AttemptName), attempt);
            try
            {
                var locked = new FileStream(Path.Combine(folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                return new Fence(locked, Path.Combine(folder, AttemptName), attempt);
            }
            catch (IOException) when (File.Exists(Path.Combine(folder, LockName)))
            {
                // The attempt before this one is saving.
                stop.WaitHandle.WaitOne(100);
                stop.ThrowIfCancellationRequested();
            }
        }
    }

    /// <exception cref="SupersededException">A later attempt was begun.</exception>
    public void Check() => Check(_file, _attempt);

    /// <summary>Removes what an attempt that was killed left half-written.</summary>
    public void Clean()
    {
        foreach (string pattern in (string[])["*.safetensors.tmp", "result.json.*.tmp", "model*.tmp", "model*.old"])
        {
            foreach (string left in Directory.GetFileSystemEntries(Path.GetDirectoryName(_file)!, pattern))
            {
                if (Directory.Exists(left))
                    Directory.Delete(left, recursive: true);
                else
                    File.Delete(left);
            }
        }
    }

    private static void Check(string file, int attempt)
    {
        if (File.Exists(file) && int.TryParse(File.ReadAllText(file), CultureInfo.InvariantCulture, out int latest) && latest > attempt)
            throw new SupersededException($"Attempt {latest} has this job: attempt {attempt} writes nothing more.");
    }

    public void Dispose() => _lock.Dispose();
}
