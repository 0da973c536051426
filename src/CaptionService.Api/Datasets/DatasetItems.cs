using CaptionService.Captioning.Jobs;

namespace CaptionService.Api.Datasets;

/// <summary>Reads pages of a canonical data set straight from its files.</summary>
internal static class DatasetItems
{
    public static async Task<DatasetItemsResponse> Read(string folder, string? wanted, int skip, int take, CancellationToken cancellation)
    {
        var splits = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string split, string file) in (ReadOnlySpan<(string, string)>)[("train", DatasetFolder.Train), ("dev", DatasetFolder.Dev), ("test", DatasetFolder.Test)])
        {
            string path = Path.Combine(folder, file);
            foreach (string name in File.Exists(path) ? File.ReadLines(path) : [])
                splits[name] = split;
        }
        int total = 0;
        List<DatasetItem> items = [];
        string? photo = null;
        List<string> captions = [];
        await foreach (string line in File.ReadLinesAsync(Path.Combine(folder, DatasetFolder.Captions), cancellation))
        {
            int tab = line.IndexOf('\t', StringComparison.Ordinal);
            string name = line[..line.LastIndexOf('#', tab)];
            if (name != photo)
            {
                captions = [];
                photo = name;
                string split = splits.GetValueOrDefault(name, "none");
                if (wanted is null || wanted == split)
                {
                    if (total >= skip && items.Count < take)
                        items.Add(new DatasetItem(name, split, captions));
                    total++;
                }
            }
            captions.Add(line[(tab + 1)..]);
        }
        return new DatasetItemsResponse(total, skip, items);
    }
}
