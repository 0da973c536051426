using System.Text.Json;
using CaptionService.Api.Storage;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Language;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Datasets;

/// <summary>The corrections of a language whose photos are kept, as files of a data set.</summary>
internal static class FeedbackCaptions
{
    /// <summary>Lists the photos, and writes the captions as JSON lines.</summary>
    /// <param name="db">Has the corrections.</param>
    /// <param name="storage">Where their photos are.</param>
    /// <param name="language">Of the captions.</param>
    /// <param name="folder">Where the captions' file goes.</param>
    /// <param name="into">Takes all.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="ProblemException">There is none.</exception>
    public static async Task List(CaptionDb db, StorageOptions storage, string language, string folder, RawFiles into, CancellationToken cancellation)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);     // by digest
        string captions = Path.Combine(folder, "feedback.jsonl");
        await using (var text = new StreamWriter(captions))
        {
            await foreach (FeedbackEntry entry in db.Feedback.AsNoTracking().OrderBy(entry => entry.CreatedAt).ThenBy(entry => entry.Id).AsAsyncEnumerable().WithCancellation(cancellation))
            {
                if (!Tokenizer.SameLanguage(entry.Language, language))
                    continue;
                if (!names.TryGetValue(entry.Photo, out string? name))
                {
                    string path = Path.Combine(storage.Feedback, entry.Photo);
                    if (!File.Exists(path))
                        continue;
                    names[entry.Photo] = name = $"{entry.Photo}.{Photo.FormatOf(RawFiles.Head(path)).ToLowerInvariant()}";
                    into.Files.Add(new RawFile(name, path, RawKind.Photo, Owned: false));
                }
                await text.WriteLineAsync(JsonSerializer.Serialize(new { image = name, caption = entry.Caption }, Json.Answers));
            }
        }
        if (names.Count == 0)
            throw new ProblemException(ProblemTable.NoFeedback, $"No correction in '{language}' is kept with its photo.");
        into.Files.Add(new RawFile("feedback.jsonl", captions, RawKind.Text, Owned: true));
    }
}
