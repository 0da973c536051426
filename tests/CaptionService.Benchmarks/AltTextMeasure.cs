using System.Globalization;
using CaptionService.Captioning;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Metrics;
using CaptionService.Captioning.Models;

namespace CaptionService.Benchmarks;

/// <summary>
/// What alt text costs and how often it is given, on the photos of a folder with <c>dev.txt</c>, <c>images/</c> and, for each language,
/// <c>captions.LANGUAGE.token.txt</c>: gendered words, openings, length, CIDEr against references without gendered words, and the share of
/// photos whose text is as confident as a threshold, with how many of those are right.
/// </summary>
internal static class AltTextMeasure
{
    private const int Batch = 16;

    public static void Run(string folder, string[] languages, int most)
    {
        string[] names = [.. File.ReadLines(Path.Combine(folder, "dev.txt")).Take(most)];
        var encoders = new SharedEncoders();
        foreach (string language in languages)
        {
            var human = File.ReadLines(Path.Combine(folder, $"captions.{language}.token.txt")).Select(line => line.Split('\t'))
                .GroupBy(line => line[0][..line[0].LastIndexOf('#')], line => line[1]).ToDictionary(photo => photo.Key, photo => photo.ToArray());
            string[] with = [.. names.Where(name => human.GetValueOrDefault(name)?.Length > 1)];
            using var model = CaptionModel.Load(Path.Combine(Path.GetDirectoryName(DefaultModels.EnglishFolder)!, $"everyday-{language}"), encoders: encoders);
            Measure(language, model, with, [.. with.Select(name => File.ReadAllBytes(Path.Combine(folder, "images", name)))], [.. with.Select(name => human[name])]);
        }
    }

    private static void Measure(string language, CaptionModel model, string[] names, byte[][] photos, string[][] human)
    {
        var tokenizer = Tokenizer.For(language);
        var gendered = GenderedWords.For(language)!;
        string[][][] references = [.. human.Select(captions => captions.Select(caption => tokenizer.Tokenize(caption).ToArray()).ToArray())];
        string[][][] treated = [.. references.Select(captions => captions.Select(caption => NeutralReference.Of(language, caption)).ToArray())];
        Cider<string> cider = new(references), neutral = new(treated);

        Caption[] plain = [.. Captions(new CaptionOptions()).Select(found => found[0])];
        IReadOnlyList<Caption>[] all = Captions(new CaptionOptions { GenderNeutral = true, NoOpenings = true, MaxCharacters = 125, Count = 10 });
        Caption[] alt = [.. all.Select(found => found[0])], surest = [.. all.Select(found => found.MaxBy(caption => caption.Ended ? caption.Confidence : 0)!)];
        string[][] said = [.. plain.Select(caption => Words(caption))], altSaid = [.. alt.Select(caption => Words(caption))];
        Program.Row($"{language}: photos, longest alt text, unended", $"{names.Length}, {alt.Max(caption => caption.Text.Length)}, {alt.Count(caption => !caption.Ended)}");
        Program.Row($"{language}: with a gendered word, plain and alt", Percent(said.Average(Gendered)) + ", " + Percent(altSaid.Average(Gendered)));
        Program.Row($"{language}: with an opening, plain and alt", Percent(said.Average(Opened)) + ", " + Percent(altSaid.Average(Opened)));
        Program.Row($"{language}: CIDEr, plain", $"{100 * Mean(said, cider, references):F1} against the references, {100 * Mean(Treated(said), neutral, treated):F1} where words are replaced in both");
        Program.Row($"{language}: CIDEr, alt", $"{100 * Mean(altSaid, neutral, treated):F1} against references whose words are replaced");

        double[] needed = [.. treated.Select(captions => MedianHuman(neutral, captions))];
        foreach (var (which, captions) in ((string, Caption[])[])[("the first", alt), ("the surest of ten", surest)])
        {
            bool[] right = [.. captions.Select((caption, i) => neutral.Score(Words(caption), treated[i]) >= needed[i])];
            foreach (double threshold in (double[])[0, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7])
            {
                bool[] given = [.. captions.Select(caption => caption.Confidence >= threshold && caption.Ended)];
                Program.Row($"{language}: {which}, given from confidence {threshold.ToString(CultureInfo.InvariantCulture)}",
                    $"{Percent(given.Count(it => it) / (double)alt.Length)}, right {Percent(given.Zip(right).Where(it => it.First).Select(it => it.Second ? 1.0 : 0).DefaultIfEmpty(0).Average())}");
            }
        }
        if (Environment.GetEnvironmentVariable("ALT_OUT") is { } output)
            File.WriteAllLines(Path.Combine(output, $"{language}.tsv"), names.Select((name, i) => $"{name}\t{alt[i].Confidence}\t{plain[i].Text}\t{alt[i].Text}\t{surest[i].Text}"));

        IReadOnlyList<Caption>[] Captions(CaptionOptions options) =>
            [.. photos.Chunk(Batch).SelectMany(some => Captioner.Caption([.. some.Select(photo => new CaptionJob(Photo.Decode(photo), options, model))]).Photos)];
        string[] Words(Caption caption) => [.. caption.Words.Select(word => word.Text.ToLowerInvariant())];
        double Gendered(string[] words) => gendered.In(words).Any() ? 1 : 0;
        double Opened(string[] words) => Openings.For(language).Any(opening => words.AsSpan().StartsWith(opening)) ? 1 : 0;
        string[][] Treated(string[][] captions) => [.. captions.Select(words => NeutralReference.Of(language, words))];
    }

    private static double Mean(string[][] said, Cider<string> cider, string[][][] references) => said.Select((words, i) => cider.Score(words, references[i])).Average();

    private static double MedianHuman(Cider<string> cider, string[][] captions)
    {
        double[] scores = [.. captions.Select((caption, i) => cider.Score(caption, [.. captions[..i], .. captions[(i + 1)..]])).Order()];
        return (scores[(scores.Length - 1) / 2] + scores[scores.Length / 2]) / 2;
    }

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:F1} %");
}
