using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace CaptionService.Api.Datasets;

/// <summary>
/// Unpacks zip, tar and tar.gz from strangers. Every file is stored under a number, so no name from outside ever becomes a
/// path; sizes are counted as bytes come, whatever the archive says of itself; what is not wanted is not stored.
/// </summary>
internal sealed class Unpacker(string target, DatasetsOptions options, RawFiles into)
{
    // A photo shrinks by nothing, text to a fifth: what grows far beyond this is made to fill the disk. 64 MB are free.
    private const int MaxRatio = 100;
    private const long FreeBytes = 64_000_000;

    // The list of names at a zip's end, which is read in one piece: 100,000 names of 250 characters.
    private const long MaxDirectoryBytes = 32_000_000;

    private long _unpacked;
    private int _entries;

    /// <summary>Unpacks one archive.</summary>
    /// <exception cref="ProblemException">It is no archive that is read, is broken, or means harm.</exception>
    public void Unpack(string archive, string name, CancellationToken cancellation)
    {
        long allowed = _unpacked + Math.Max(FreeBytes, new FileInfo(archive).Length * MaxRatio);
        try
        {
            using FileStream file = File.OpenRead(archive);
            Span<byte> head = stackalloc byte[RawFiles.HeadBytes];
            int length = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            file.Position = 0;
            if (head[..length].StartsWith("PK"u8))
            {
                UnpackZip(file, allowed, cancellation);
            }
            else if (head[..length].StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]))
            {
                using var gzip = new GZipStream(file, CompressionMode.Decompress);
                UnpackTar(gzip, allowed, cancellation);
            }
            else
                UnpackTar(file, allowed, cancellation);
        }
        catch (Exception broken) when (broken is InvalidDataException or EndOfStreamException or FormatException or ArgumentException or NotSupportedException or OverflowException or DecoderFallbackException)
        {
            throw new ProblemException(ProblemTable.BrokenArchive, $"'{name}' cannot be unpacked to its end: {broken.Message.TrimEnd('.')}.");
        }
    }

    private void UnpackZip(FileStream file, long allowed, CancellationToken cancellation)
    {
        using var counted = new CountingStream(file, MaxDirectoryBytes,
            _ => throw TooLarge($"more than {options.MaxFiles:N0} files"));
        using var zip = new ZipArchive(counted, ZipArchiveMode.Read, leaveOpen: true, new UnflaggedNames());
        int count = zip.Entries.Count;
        counted.Limit = long.MaxValue;
        if (count > options.MaxFiles)
            throw TooLarge($"{count:N0} files");
        foreach (ZipArchiveEntry entry in zip.Entries)
        {
            cancellation.ThrowIfCancellationRequested();
            string name = Enter(entry.FullName);
            if (entry.IsEncrypted)
                throw new ProblemException(ProblemTable.UnsafeArchive, $"'{name.Shortened(120)}' is encrypted.");
            // The upper half is a Unix mode where the zip was made on one.
            int type = entry.ExternalAttributes >> 28 & 0xF;
            if (type is not (0 or 4 or 8))
                throw Special(name, type == 0xA ? "a link" : "no plain file");
            if (entry.FullName.EndsWith('/') || entry.FullName.EndsWith('\\') || type == 4)
                continue;
            using Stream bytes = entry.Open();
            Store(name, bytes, allowed, count: true, cancellation);
        }
    }

    private void UnpackTar(Stream file, long allowed, CancellationToken cancellation)
    {
        // All that comes out of gzip counts, headers and skipped files too.
        using var counted = new CountingStream(file, Math.Min(allowed, options.MaxUnpackedBytes) - _unpacked, TooMuch);
        using var tar = new TarReader(counted, leaveOpen: true);
        while (tar.GetNextEntry() is { } entry)
        {
            cancellation.ThrowIfCancellationRequested();
            string name = Enter(entry.Name);
            switch (entry.EntryType)
            {
                case TarEntryType.Directory or TarEntryType.DirectoryList or TarEntryType.GlobalExtendedAttributes:
                    break;
                case TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile:
                    Store(name, entry.DataStream ?? Stream.Null, allowed, count: false, cancellation);
                    break;
                case TarEntryType.SymbolicLink or TarEntryType.HardLink:
                    throw Special(name, "a link");
                default:
                    throw Special(name, $"no plain file ({entry.EntryType})");
            }
        }
        _unpacked += counted.Count;
    }

    private string Enter(string name)
    {
        if (++_entries > options.MaxFiles)
            throw TooLarge($"more than {options.MaxFiles:N0} files");
        return RawFiles.SafeName(name);
    }

    private void Store(string name, Stream bytes, long allowed, bool count, CancellationToken cancellation)
    {
        if (name.Length == 0 || RawFiles.IsDebris(name) || !into.Claim(name))
            return;
        byte[] buffer = new byte[128 * 1024];
        int read = bytes.ReadAtLeast(buffer.AsSpan(0, RawFiles.HeadBytes), RawFiles.HeadBytes, throwOnEndOfStream: false);
        RawKind kind = RawFiles.KindOf(buffer.AsSpan(0, read));
        if (!into.Wants(name, kind))
        {
            into.Leave(name, kind, buffer.AsSpan(0, read));
            return;
        }
        string path = Path.Combine(target, into.Files.Count.ToString("D7", System.Globalization.CultureInfo.InvariantCulture));
        using (FileStream file = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            for (; read > 0; read = bytes.Read(buffer))
            {
                cancellation.ThrowIfCancellationRequested();
                if (count && (_unpacked += read) > Math.Min(allowed, options.MaxUnpackedBytes))
                    throw TooMuch(_unpacked);
                file.Write(buffer, 0, read);
            }
        }
        into.Files.Add(new RawFile(name, path, kind, Owned: true));
    }

    private ProblemException TooMuch(long bytes) => TooLarge(bytes > options.MaxUnpackedBytes || _unpacked > options.MaxUnpackedBytes
        ? $"more than {options.MaxUnpackedBytes:N0} bytes"
        : $"more than {MaxRatio} times its own bytes");

    private static ProblemException TooLarge(string what) => new(ProblemTable.ArchiveTooLarge, $"Unpacked, the archive has {what}.");

    private static ProblemException Special(string name, string what) =>
        new(ProblemTable.UnsafeArchive, $"'{name.Shortened(120)}' is {what}.");

    /// <summary>Names without the flag for UTF-8 are UTF-8 all the same when they can be, else of the first PC (CP437), as zip began.</summary>
    private sealed class UnflaggedNames : Encoding
    {
        private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
        private static readonly Encoding s_first = CodePagesEncodingProvider.Instance.GetEncoding(437)!;

        public override int GetCharCount(byte[] bytes, int index, int count) => GetString(bytes, index, count).Length;

        public override int GetChars(byte[] bytes, int byteIndex, int byteCount, char[] chars, int charIndex)
        {
            string text = GetString(bytes, byteIndex, byteCount);
            text.CopyTo(0, chars, charIndex, text.Length);
            return text.Length;
        }

        public override string GetString(byte[] bytes, int index, int count)
        {
            try
            {
                return s_utf8.GetString(bytes, index, count);
            }
            catch (DecoderFallbackException)
            {
                return s_first.GetString(bytes, index, count);
            }
        }

        public override int GetByteCount(char[] chars, int index, int count) => s_utf8.GetByteCount(chars, index, count);

        public override int GetBytes(char[] chars, int charIndex, int charCount, byte[] bytes, int byteIndex) => s_utf8.GetBytes(chars, charIndex, charCount, bytes, byteIndex);

        public override int GetMaxByteCount(int charCount) => s_utf8.GetMaxByteCount(charCount);

        public override int GetMaxCharCount(int byteCount) => byteCount + 1;
    }

    /// <summary>Counts what is read and stops at a limit.</summary>
    private sealed class CountingStream(Stream inner, long limit, Func<long, Exception> tooMuch) : Stream
    {
        public long Limit { get; set; } = limit;

        public long Count { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => inner.CanSeek;

        public override bool CanWrite => false;

        public override long Length => inner.Length;

        public override long Position { get => inner.Position; set => inner.Position = value; }

        public override int Read(Span<byte> buffer)
        {
            int read = inner.Read(buffer);
            return (Count += read) <= Limit ? read : throw tooMuch(Count);
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override long Seek(long offset, SeekOrigin origin) => inner.Seek(offset, origin);

        public override void Flush() { }

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
