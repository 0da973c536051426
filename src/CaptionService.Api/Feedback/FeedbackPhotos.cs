using System.Security.Cryptography;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Files;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace CaptionService.Api.Feedback;

/// <summary>
/// The photos that were sent with corrections, each once, under its digest. A photo is written before its row and removed after its
/// last one, so what a crash leaves is a photo without a row: the next start removes it.
/// </summary>
internal sealed class FeedbackPhotos(IOptions<StorageOptions> storage, IDbContextFactory<CaptionDb> databases, DataFolder folder, TimeProvider time) : IHostedService, IDisposable
{
    // Another server may be about to write the row of a younger one.
    private static readonly TimeSpan s_underWay = TimeSpan.FromHours(1);

    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>SHA-256 of a photo's file, as feedback names it.</summary>
    public static string DigestOf(ReadOnlySpan<byte> photo) => Convert.ToHexStringLower(SHA256.HashData(photo));

    /// <summary>Whether a photo is kept.</summary>
    public bool Has(string digest) => File.Exists(PathOf(digest));

    /// <summary>Keeps a photo and adds its row: both, or neither.</summary>
    public async Task Add(CaptionDb db, FeedbackEntry entry, byte[]? photo)
    {
        await _turn.WaitAsync();
        try
        {
            if (photo is not null && !Has(entry.Photo))
            {
                Directory.CreateDirectory(storage.Value.Feedback);
                Durable.Replace(PathOf(entry.Photo), photo);
            }
            db.Feedback.Add(entry);
            await db.SaveChangesAsync(CancellationToken.None);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Removes a row, and its photo with the last one that has it.</summary>
    public async Task Delete(CaptionDb db, FeedbackEntry entry)
    {
        await _turn.WaitAsync();
        try
        {
            await db.Feedback.Where(row => row.Id == entry.Id).ExecuteDeleteAsync(CancellationToken.None);
            if (!await db.Feedback.AnyAsync(row => row.Photo == entry.Photo, CancellationToken.None))
                File.Delete(PathOf(entry.Photo));
        }
        finally
        {
            _turn.Release();
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!Directory.Exists(storage.Value.Feedback) || !folder.TryHold())
            return;
        await using CaptionDb db = await databases.CreateDbContextAsync(cancellationToken);
        HashSet<string> known = [.. await db.Feedback.Select(row => row.Photo).Distinct().ToListAsync(cancellationToken)];
        foreach (string path in Directory.EnumerateFiles(storage.Value.Feedback))
        {
            if (!known.Contains(Path.GetFileName(path)) && File.GetLastWriteTimeUtc(path) < time.GetUtcNow() - s_underWay)
                File.Delete(path);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _turn.Dispose();

    private string PathOf(string digest) => Path.Combine(storage.Value.Feedback, digest);
}
