namespace CaptionService.Api.Datasets;

/// <summary>Lines, or items, of a file of captions that cannot be read: they are left out, counted, and the first are told.</summary>
internal sealed class BrokenLines(RawFile file)
{
    private const int Told = 3;

    private readonly List<string> _first = [];

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The first of them: where, and what is wrong.</summary>
    public IReadOnlyList<string> First => _first;

    /// <summary>Notes a line.</summary>
    public void Add(long line, string what) => AddAt($"line {line}", what);

    /// <summary>Notes an item of a list.</summary>
    public void AddItem(int item, string what) => AddAt($"item {item}", what);

    private void AddAt(string where, string what)
    {
        Count++;
        if (_first.Count < Told)
            _first.Add($"'{file.Name.Shortened(120)}', {where}: {what}");
    }

    /// <summary>Refuses a file of which too much is broken. A single line never refuses a file that holds captions.</summary>
    /// <param name="captions">Captions that were read.</param>
    /// <param name="share">Largest share of broken lines, 0 to 1.</param>
    /// <exception cref="ProblemException">More is broken.</exception>
    public void Check(int captions, double share)
    {
        if (Count > 0 && (captions == 0 || Count > Math.Max(1, share * (captions + Count))))
        {
            string more = Count > Told ? $"; and {Count - Told:N0} more" : "";
            throw new ProblemException(ProblemTable.BrokenCaptions, $"{string.Join("; ", _first)}{more}.");
        }
    }
}
