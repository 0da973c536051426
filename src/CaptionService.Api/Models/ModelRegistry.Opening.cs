using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Models;

// The start: what configuration names and what was active before.
public sealed partial class ModelRegistry
{
    /// <summary>Reads what there is, registers the models that configuration names, and loads those that answer for their languages.</summary>
    /// <returns>What was loaded, the default first.</returns>
    /// <exception cref="ModelBundleException">A language has no model that can be loaded.</exception>
    internal async Task<ModelHold[]> Open(CancellationToken cancellation)
    {
        _shipped = ShippedModel.Read(captioning.Value.ModelFolder);
        await _turn.WaitAsync(cancellation);
        var holds = new List<ModelHold>();
        try
        {
            await using CaptionDb db = await databases.CreateDbContextAsync(cancellation);
            List<ModelVersion> rows = await db.ModelVersions.ToListAsync(cancellation);
            db.RemoveRange(rows.Where(row => row.Folder.Length == 0 && !_shipped.Any(shipped => shipped.Card.Name == row.Name)));     // configuration named other models before
            foreach (var (card, text, _) in _shipped)
            {
                if (rows.Find(row => row.Folder.Length == 0 && row.Name == card.Name) is { } known)
                {
                    (known.Digest, known.Language, known.Scores, known.Card) = (card.Digest, card.Language, Scores(card), text);
                }
                else
                {
                    db.Add(Row(card, text, NextVersion(rows, card.Name), folder: "", null, null));
                }
            }
            await db.SaveChangesAsync(cancellation);
            List<ModelVersion> now = await db.ModelVersions.ToListAsync(cancellation);
            foreach (ModelVersion first in now.Where(row => row.Folder.Length == 0 && !now.Exists(other => other.Active && Tokenizer.SameLanguage(other.Language, row.Language))))
            {
                (first.Active, first.ActivatedAt) = (true, time.GetUtcNow());
            }
            await db.SaveChangesAsync(cancellation);

            RegisteredModel[] all = await Read(db, cancellation);
            foreach (string language in _shipped.Select(shipped => shipped.Card.Language))
            {
                RegisteredModel answers = all.First(model => model.Active && Tokenizer.SameLanguage(model.Card.Language, language));
                try
                {
                    holds.Add(await loaded.Hold(answers, cancellation));
                }
                catch (ModelBundleException broken) when (!answers.Shipped)
                {
                    // Rather the model that came with the product than none. What the database says stays, for who mends it.
                    Log.FellBack(logger, answers.Reference, broken);
                    all = [.. all.Select(model => Tokenizer.SameLanguage(model.Card.Language, language) ? model with { Active = model.Shipped } : model)];
                    holds.Add(await loaded.Hold(all.First(model => model.Shipped && Tokenizer.SameLanguage(model.Card.Language, language)), cancellation));
                }
            }
            Show(all, holds.Select(hold => hold.Model));
            return [.. holds];
        }
        catch
        {
            holds.ForEach(hold => hold.Dispose());
            throw;
        }
        finally
        {
            _turn.Release();
        }
    }
}
