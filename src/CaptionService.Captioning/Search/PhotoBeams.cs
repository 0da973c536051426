using CaptionService.Captioning.Language;

namespace CaptionService.Captioning.Search;

/// <summary>The search of one photo: the living beams of each group, and the hypotheses that ended.</summary>
internal sealed class PhotoBeams
{
    /// <summary>A hypothesis as the last link of a chain; the root has no word.</summary>
    private sealed class Node(Node? previous, int word, float total, double logProbability, int row, int parentBeam)
    {
        public readonly Node? Previous = previous;
        public readonly int Word = word;
        public readonly int Length = previous is null ? 0 : previous.Length + 1;
        public readonly float Total = total;                            // what beams are compared by: log p and bonuses
        public readonly double LogProbability = logProbability;
        public readonly int Row = row;
        public readonly int ParentBeam = parentBeam;

        public static bool Same(Node one, Node other)
        {
            if (one.Length != other.Length)
                return false;
            for (; one != other && one.Previous is not null; (one, other) = (one.Previous, other.Previous!))
            {
                if (one.Word != other.Word)
                    return false;
            }
            return true;
        }
    }

    /// <summary>Beams that are searched together.</summary>
    private sealed class Group
    {
        public readonly List<(Node Node, double Total, double Score)> Ended = [];   // best first
        public Node[] Alive, Next;
        public int AliveCount = 1;
        public bool Over;

        public Group(int size, Node root)
        {
            Alive = new Node[size];
            Next = new Node[size];
            Alive[0] = root;
        }
    }

    private readonly BeamSearchOptions options;
    private readonly SearchConstraints constraints;
    private readonly Group[] groups;
    private readonly int size, keep;                    // of each group: beams, ended hypotheses
    private readonly int[] history;
    private readonly Func<int, IReadOnlyDictionary<int, float>>? bonusesAfter;
    private readonly float pairPenalty;
    private readonly List<int> taken = [];              // words of the groups before, at this step
    private (double[] Values, float[] Scores, int[] Indexes) ranked = ([], [], []);      // the order in which a later group takes its candidates

    /// <param name="options">How to search.</param>
    /// <param name="constraints">What may not follow, by these options.</param>
    /// <param name="bonusesAfter">The bonuses of the words after a word; null: nothing guides the search.</param>
    /// <param name="pairPenalty">What every pair costs.</param>
    public PhotoBeams(BeamSearchOptions options, SearchConstraints constraints, Func<int, IReadOnlyDictionary<int, float>>? bonusesAfter, float pairPenalty)
    {
        this.options = options;
        this.constraints = constraints;
        this.bonusesAfter = bonusesAfter;
        this.pairPenalty = pairPenalty;
        history = new int[options.MaxLength];
        size = options.Width / options.Groups;
        keep = Math.Min(size, options.Count);
        var root = new Node(null, Vocabulary.Start, 0, 0, 0, 0);
        groups = new Group[options.Groups];
        for (int i = 0; i < groups.Length; i++)
            groups[i] = new Group(size, root);
    }

    /// <summary>Takes the next beams and ends from a step's candidates.</summary>
    /// <param name="scores">The candidates' log p, best first, those of a group together; at the first step one such list for all
    /// groups.</param>
    /// <param name="indexes">Their beam in the group · V + word.</param>
    /// <param name="candidates">Candidates in a list.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="length">Words of the beams before this step.</param>
    /// <param name="row">Row of this photo's first beam in the step's arguments.</param>
    /// <returns>Whether the search of this photo is over.</returns>
    public bool Advance(ReadOnlySpan<float> scores, ReadOnlySpan<int> indexes, int candidates, int vocabulary, int length, int row)
    {
        bool over = true;
        taken.Clear();
        for (int g = 0; g < groups.Length; g++)
        {
            if (groups[g].Over)
                continue;
            int list = length == 0 ? 0 : g * candidates;
            ReadOnlySpan<float> itsScores = scores.Slice(list, candidates);
            ReadOnlySpan<int> itsIndexes = indexes.Slice(list, candidates);
            if (taken.Count > 0 && options.Diversity > 0)
                Penalise(ref itsScores, ref itsIndexes, vocabulary);
            groups[g].Over = Advance(g, itsScores, itsIndexes, vocabulary, length, row);
            over &= groups[g].Over;
            for (int i = 0; i < groups[g].AliveCount && g + 1 < groups.Length && !groups[g].Over; i++)
                taken.Add(groups[g].Alive[i].Word);
        }
        return over;
    }

    private bool Advance(int number, ReadOnlySpan<float> scores, ReadOnlySpan<int> indexes, int vocabulary, int length, int row)
    {
        Group group = groups[number];
        int first = length == 0 ? 0 : number * size, kept = 0;
        for (int rank = 0; rank < Math.Min(scores.Length, 2 * size) && kept < size; rank++)
        {
            if (!(scores[rank] > double.NegativeInfinity)) // forbidden, not a beam, or not a number
                continue;
            int beam = indexes[rank] / vocabulary, word = indexes[rank] % vocabulary;
            Node node = group.Alive[beam];
            if (word != Vocabulary.End)
                group.Next[kept++] = new Node(node, word, scores[rank], node.LogProbability + scores[rank] - node.Total - Bonus(node, word), row + first + beam, first + beam);
            else if (rank < size && scores[rank] - node.Total >= options.LeastEnd && !Found(node, number))
                End(group, node, scores[rank]);
        }
        // At the greatest length, or when no word is possible, the living stay as they are: perhaps worth returning.
        if (length == options.MaxLength || kept == 0)
            return true;
        (group.Alive, group.Next, group.AliveCount) = (group.Next, group.Alive, kept);
        // With one beam the first end is final, which makes the search greedy.
        return group.Ended.Count == keep
            && (size == 1 || Score(group.Alive[0].Total, options.MaxLength + 1) <= group.Ended[^1].Score);
    }

    /// <summary>Puts candidates into the order that they have with what the groups before have taken made dearer; their log p stay
    /// true.</summary>
    private void Penalise(ref ReadOnlySpan<float> scores, ref ReadOnlySpan<int> indexes, int vocabulary)
    {
        int n = scores.Length;
        if (ranked.Values.Length < n)
            ranked = (new double[n], new float[n], new int[n]);
        var (values, newScores, newIndexes) = ranked;
        for (int i = 0; i < n; i++)
        {
            int word = indexes[i] % vocabulary, position = i;
            double value = scores[i];
            foreach (int other in taken)
                value -= other == word ? options.Diversity : 0;
            for (; position > 0 && values[position - 1] < value; position--)
                (values[position], newScores[position], newIndexes[position]) = (values[position - 1], newScores[position - 1], newIndexes[position - 1]);
            (values[position], newScores[position], newIndexes[position]) = (value, scores[i], indexes[i]);
        }
        scores = newScores.AsSpan(0, n);
        indexes = newIndexes.AsSpan(0, n);
    }

    /// <summary>What a word after a beam adds to its total beside its log p.</summary>
    private double Bonus(Node node, int word) => bonusesAfter is null || node.Length == 0 ? 0 : bonusesAfter(node.Word).GetValueOrDefault(word) - pairPenalty;

    /// <summary>Writes the next step's arguments from <paramref name="offset"/> on, and which (beam, word) may not follow or earn a
    /// bonus.</summary>
    public void Fill(int offset, long[] words, long[] parents, float[] totals, int vocabulary, List<long> blocked, List<(long Column, float Value)> bonuses)
    {
        foreach (Group group in groups)
        {
            for (int i = 0; i < size; i++, offset++)
            {
                // Missing beams, and those of a group that is done, are copies that can never be chosen.
                bool living = !group.Over && i < group.AliveCount;
                Node node = group.Alive[i < group.AliveCount ? i : 0];
                words[offset] = node.Word;
                parents[offset] = node.ParentBeam;
                totals[offset] = living ? node.Total : float.NegativeInfinity;
                if (!living)
                    continue;
                long first = (long)offset * vocabulary;
                if (bonusesAfter is not null)
                {
                    totals[offset] -= pairPenalty;
                    bonuses.Add((first + Vocabulary.End, pairPenalty));           // an end makes no pair
                    foreach (var (word, bonus) in bonusesAfter(node.Word))
                        bonuses.Add((first + word, bonus));
                }
                constraints.Block(Words(node), first, blocked);
            }
        }
    }

    /// <summary>The hypotheses to return, best first.</summary>
    public List<Hypothesis> Ranked()
    {
        List<Hypothesis>[] found = Array.ConvertAll(groups, Ranked);
        if (found is [var only])
            return only;
        // The best of each group before the second of any.
        var chosen = new List<Hypothesis>();
        for (int rank = 0; rank < keep; rank++)
        {
            foreach (List<Hypothesis> group in found)
            {
                if (rank < group.Count && chosen.Count < options.Count && !chosen.Exists(other => other.Words.AsSpan().SequenceEqual(group[rank].Words)))
                    chosen.Add(group[rank]);
            }
        }
        return [.. chosen.OrderByDescending(hypothesis => hypothesis.Ended).ThenByDescending(hypothesis => hypothesis.Score)];
    }

    private List<Hypothesis> Ranked(Group group)
    {
        var ranked = group.Ended.ConvertAll(end => ToHypothesis(end.Node, end.Node.LogProbability + end.Total - end.Node.Total, ended: true));
        ranked.AddRange(group.Alive.Take(group.AliveCount)
            .Where(node => node.Length > 0 && !group.Ended.Exists(end => end.Node == node))
            .OrderByDescending(node => node.Total)
            .Take(keep - group.Ended.Count)
            .Select(node => ToHypothesis(node, node.LogProbability, ended: false)));
        return ranked;
    }

    /// <summary>Whether a group before has ended the same words: at this step, if at all.</summary>
    private bool Found(Node node, int number)
    {
        for (int g = 0; g < number; g++)
        {
            foreach (var (ended, _, _) in groups[g].Ended)
            {
                if (Node.Same(ended, node))
                    return true;
            }
        }
        return false;
    }

    private void End(Group group, Node node, double total)
    {
        double score = Score(total, node.Length + 1);
        int position = group.Ended.Count;
        while (position > 0 && group.Ended[position - 1].Score < score)
            position--;
        group.Ended.Insert(position, (node, total, score));
        if (group.Ended.Count > keep)
            group.Ended.RemoveAt(keep);
    }

    private double Score(double total, int length) => total / Math.Pow(length, options.LengthNormalization);

    /// <summary>The words of a beam, until the next call.</summary>
    private ReadOnlySpan<int> Words(Node node)
    {
        for (Node? link = node; link is { Length: > 0 }; link = link.Previous)
            history[link.Length - 1] = link.Word;
        return history.AsSpan(0, node.Length);
    }

    private Hypothesis ToHypothesis(Node node, double logProbability, bool ended)
    {
        var words = new int[node.Length];
        var logProbabilities = new float[node.Length];
        var rows = new int[node.Length];
        for (Node link = node; link.Previous is not null; link = link.Previous)
        {
            words[link.Length - 1] = link.Word;
            logProbabilities[link.Length - 1] = (float)(link.LogProbability - link.Previous.LogProbability);
            rows[link.Length - 1] = link.Row;
        }
        return new Hypothesis(words, logProbabilities, logProbability, Score(logProbability, ended ? node.Length + 1 : node.Length), ended, rows);
    }
}
