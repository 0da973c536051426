using System.Text;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;

namespace CaptionService.Api.Models;

/// <summary>A bundle that configuration names.</summary>
/// <param name="Card">What it says of itself.</param>
/// <param name="Text">Its <c>model.json</c>.</param>
/// <param name="Folder">Where it is.</param>
internal sealed record ShippedModel(ModelCard Card, string Text, string Folder)
{
    /// <summary>The one bundle in a folder, or those in its folders: one for each language, the default first, which is English where that is among them and else the first by name.</summary>
    /// <exception cref="ModelBundleException">There is none, one is broken, or two have a name or a language in common.</exception>
    public static IReadOnlyList<ShippedModel> Read(string folder)
    {
        folder = Path.GetFullPath(folder);
        bool single = File.Exists(Path.Combine(folder, BundleFiles.Card)) || !Directory.Exists(folder);
        string[] folders = single ? [folder] : [.. Directory.GetDirectories(folder).Where(bundle => File.Exists(Path.Combine(bundle, BundleFiles.Card))).Order(StringComparer.Ordinal)];
        ShippedModel[] models =
        [
            .. folders.Select(bundle => new ShippedModel(ModelBundle.ReadCard(bundle), File.ReadAllText(Path.Combine(bundle, BundleFiles.Card), Encoding.UTF8), bundle))
                .OrderByDescending(model => Tokenizer.SameLanguage(model.Card.Language, "en")),
        ];
        if (models.Length == 0)
            throw new ModelBundleException($"There is no {BundleFiles.Card} in '{folder}' or in a folder there.");
        for (int i = 0; i < models.Length; i++)
        {
            if (Array.Find(models[..i], other => other.Card.Name == models[i].Card.Name || Tokenizer.SameLanguage(other.Card.Language, models[i].Card.Language)) is { } other)
                throw new ModelBundleException($"'{Path.GetFileName(other.Folder)}' and '{Path.GetFileName(models[i].Folder)}' in '{folder}' have a name or a language in common: one bundle for each language.");
        }
        return models;
    }
}
