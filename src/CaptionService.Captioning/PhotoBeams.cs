namespace CaptionService.Captioning;

/// <summary>The search of one photo: its living beams and the hypotheses that ended.</summary>
internal sealed class PhotoBeams
{
    /// <summary>A hypothesis as the last link of a chain; the root has no word.</summary>
    private sealed class Node(Node? previous, int word, float total, int row, int parentBeam)
    {
        public readonly Node? Previous = previous;
        public readonly int Word = word;
        public readonly int Length = previous is null ? 0 : previous.Length + 1;
        public readonly float Total = total;
        public readonly int Row = row;
        public readonly int ParentBeam = parentBeam;
    }

    private readonly BeamSearchOptions options;
    private readonly List<(Node Node, double Total, double Score)> ended = [];
    private readonly int[] history;
    private Node[] alive;
    private Node[] next;
    private int aliveCount = 1;

    public PhotoBeams(BeamSearchOptions options)
    {
        this.options = options;
        history = new int[options.MaxLength];
        alive = new Node[options.Width];
        next = new Node[options.Width];
        alive[0] = new Node(null, Vocabulary.Start, 0, 0, 0);
    }

    /// <summary>Takes the next beams and ends from a step's candidates.</summary>
    /// <param name="scores">The candidates' log p, best first.</param>
    /// <param name="indexes">Their beam · V + word.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="length">Words of the beams before this step.</param>
    /// <param name="row">Row of this photo's first beam in the step's arguments.</param>
    /// <returns>Whether the search of this photo is over.</returns>
    public bool Advance(ReadOnlySpan<double> scores, ReadOnlySpan<double> indexes, int vocabulary, int length, int row)
    {
        int kept = 0;
        for (int rank = 0; rank < scores.Length && kept < options.Width; rank++)
        {
            if (!(scores[rank] > double.NegativeInfinity)) // forbidden, not a beam, or not a number
                continue;
            int beam = (int)indexes[rank] / vocabulary, word = (int)indexes[rank] % vocabulary;
            if (word != Vocabulary.End)
                next[kept++] = new Node(alive[beam], word, (float)scores[rank], row + beam, beam);
            else if (rank < options.Width)
                End(alive[beam], scores[rank]);
        }
        // At the greatest length, or when no word is possible, the living stay as they are: perhaps worth returning.
        if (length == options.MaxLength || kept == 0)
            return true;
        (alive, next, aliveCount) = (next, alive, kept);
        // With one beam the first end is final, which makes the search greedy.
        return ended.Count == options.Count
            && (options.Width == 1 || Score(alive[0].Total, options.MaxLength + 1) <= ended[^1].Score);
    }

    /// <summary>Writes the next step's arguments from <paramref name="offset"/> on, and which (beam, word) may not follow.</summary>
    public void Fill(int offset, long[] words, long[] parents, float[] totals, int vocabulary, List<long> blocked)
    {
        for (int i = 0; i < options.Width; i++)
        {
            // Missing beams are copies of the best that can never be chosen.
            Node node = alive[i < aliveCount ? i : 0];
            words[offset + i] = node.Word;
            parents[offset + i] = node.ParentBeam;
            totals[offset + i] = i < aliveCount ? node.Total : float.NegativeInfinity;
            if (options.NoWordTwice && i < aliveCount && node.Length > 0)
                blocked.Add((long)(offset + i) * vocabulary + node.Word);
            if (options.NoRepeatNgram > 0 && i < aliveCount)
                Block(node, (long)(offset + i) * vocabulary, blocked);
        }
    }

    /// <summary>The hypotheses to return, best first.</summary>
    public List<Hypothesis> Ranked()
    {
        var ranked = ended.ConvertAll(end => ToHypothesis(end.Node, end.Total, end.Score, ended: true));
        ranked.AddRange(alive.Take(aliveCount)
            .Where(node => node.Length > 0 && !ended.Exists(end => end.Node == node))
            .Select(node => ToHypothesis(node, node.Total, Score(node.Total, node.Length), ended: false))
            .OrderByDescending(hypothesis => hypothesis.Score)
            .Take(options.Count - ended.Count));
        return ranked;
    }

    private void End(Node node, double total)
    {
        double score = Score(total, node.Length + 1);
        int place = ended.Count;
        while (place > 0 && ended[place - 1].Score < score)
            place--;
        ended.Insert(place, (node, total, score));
        if (ended.Count > options.Count)
            ended.RemoveAt(options.Count);
    }

    private double Score(double total, int length) => total / Math.Pow(length, options.LengthNormalization);

    /// <summary>Adds the words that would repeat an n-gram of the hypothesis: those that once followed its last n-1 words.</summary>
    private void Block(Node node, long offset, List<long> blocked)
    {
        int length = node.Length, context = options.NoRepeatNgram - 1;
        for (Node? link = node; link is { Length: > 0 }; link = link.Previous)
            history[link.Length - 1] = link.Word;
        ReadOnlySpan<int> words = history.AsSpan(0, length);
        for (int i = context; i < length; i++)
        {
            if (words.Slice(i - context, context).SequenceEqual(words[(length - context)..]))
                blocked.Add(offset + words[i]);
        }
    }

    private static Hypothesis ToHypothesis(Node node, double total, double score, bool ended)
    {
        var words = new int[node.Length];
        var logProbabilities = new float[node.Length];
        var rows = new int[node.Length];
        for (Node link = node; link.Previous is not null; link = link.Previous)
        {
            words[link.Length - 1] = link.Word;
            logProbabilities[link.Length - 1] = link.Total - link.Previous.Total;
            rows[link.Length - 1] = link.Row;
        }
        return new Hypothesis(words, logProbabilities, total, score, ended, rows);
    }
}
