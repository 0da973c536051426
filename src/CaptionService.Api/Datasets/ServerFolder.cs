namespace CaptionService.Api.Datasets;

/// <summary>Reads a folder of the server that the operator allows. Links are followed for where they lead, never out of it.</summary>
internal static class ServerFolder
{
    /// <summary>The folder a caller named, resolved.</summary>
    /// <param name="folder">Absolute, or below one of the allowed folders.</param>
    /// <param name="allowedFolders">Which are allowed.</param>
    /// <exception cref="ProblemException">It is outside of all of them, or not there.</exception>
    public static string Resolve(string folder, IReadOnlyList<string> allowedFolders)
    {
        if (folder.Contains('\0', StringComparison.Ordinal))
            throw NotAllowed();
        foreach (string allowed in allowedFolders)
        {
            string root = WithoutLinks(Path.GetFullPath(allowed));
            string wanted = WithoutLinks(Path.GetFullPath(folder, root));
            if (wanted == root || wanted.StartsWith(Path.TrimEndingDirectorySeparator(root) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            {
                return Directory.Exists(wanted) ? wanted
                    : throw new ProblemException(ProblemTable.InvalidOption, "The member 'folder' names no folder of the server.");
            }
        }
        throw NotAllowed();     // the same words whether it exists or not
    }

    /// <summary>Lists the files below a folder.</summary>
    public static void List(string folder, RawFiles into, DatasetsOptions options, CancellationToken cancellation)
    {
        var pending = new Stack<DirectoryInfo>([new DirectoryInfo(folder)]);
        int count = 0;
        while (pending.TryPop(out DirectoryInfo? directory))
        {
            foreach (FileSystemInfo item in directory.EnumerateFileSystemInfos().OrderBy(item => item.Name, StringComparer.Ordinal))
            {
                cancellation.ThrowIfCancellationRequested();
                string name = ShortText.Printable(Path.GetRelativePath(folder, item.FullName).Replace(Path.DirectorySeparatorChar, '/'));
                if (++count > options.MaxFiles)
                    throw new ProblemException(ProblemTable.ArchiveTooLarge, $"The folder has more than {options.MaxFiles:N0} files.");
                if (item.LinkTarget is not null)
                {
                    into.Links.Add(name);
                }
                else if (item is DirectoryInfo below)
                {
                    pending.Push(below);
                }
                else if (item is FileInfo file && IsPlain(file) && !RawFiles.IsDebris(name) && into.Claim(name))
                {
                    byte[] head = RawFiles.Head(file.FullName);
                    RawKind kind = RawFiles.KindOf(head);
                    if (into.Wants(name, kind))
                        into.Files.Add(new RawFile(name, file.FullName, kind, Owned: false));
                    else
                        into.Leave(name, kind, head);
                }
            }
        }
    }

    // A pipe would be read for ever.
    private static bool IsPlain(FileInfo file) => (file.Attributes & (FileAttributes.Device | FileAttributes.Directory)) == 0
        && (OperatingSystem.IsWindows() || file.Length > 0);

    /// <summary>Where a path leads once its links are followed.</summary>
    /// <exception cref="ProblemException">They go round in a circle.</exception>
    public static string WithoutLinks(string path)
    {
        string resolved = Path.GetPathRoot(path)!;
        foreach (string part in path[resolved.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            resolved = Path.Combine(resolved, part);
            try
            {
                resolved = new DirectoryInfo(resolved).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? resolved;
            }
            catch (IOException missing) when (missing is DirectoryNotFoundException or FileNotFoundException)
            {
                // What is not there leads nowhere.
            }
            catch (Exception circle) when (circle is IOException or UnauthorizedAccessException)
            {
                throw NotAllowed();
            }
        }
        return resolved;
    }

    /// <summary>The folder is outside of all that is allowed, or there is no such name.</summary>
    public static ProblemException NotAllowed() => new(ProblemTable.FolderNotAllowed, "The folder is not among those that may be read.");
}
