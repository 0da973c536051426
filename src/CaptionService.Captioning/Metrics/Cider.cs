using System.Runtime.InteropServices;

namespace CaptionService.Captioning.Metrics;

/// <summary>
/// CIDEr and CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726): how alike the tf-idf vectors of a sentence's n-grams
/// (1 to 4) and its references' are, times 10. Document frequencies come from the references given at the start: one
/// photo is one document.
/// </summary>
/// <remarks>
/// What the public COCO caption evaluation (pycocoevalcap 1.2) reports as "CIDEr" is CIDEr-D, here <see cref="Score"/>.
/// Tokens are words or their ids, without stemming. Immutable and safe to share between threads.
/// </remarks>
/// <typeparam name="T">A word, or its id.</typeparam>
public sealed class Cider<T> where T : notnull
{
    private const double Sigma = 6; // of the length penalty, in words

    private readonly double logDocuments;
    private readonly Dictionary<Ngram<T>, double> inverseFrequency = []; // log(documents / documents with the n-gram)

    /// <summary>Counts in how many photos' references each n-gram occurs.</summary>
    /// <param name="references">Each photo's references; of one photo alone every score is 0, since every idf is.</param>
    public Cider(IEnumerable<IReadOnlyList<IReadOnlyList<T>>> references)
    {
        ArgumentNullException.ThrowIfNull(references);
        int documents = 0;
        var seen = new HashSet<Ngram<T>>();
        foreach (IReadOnlyList<IReadOnlyList<T>> photo in references)
        {
            documents++;
            seen.Clear();
            foreach (IReadOnlyList<T> reference in photo)
                seen.UnionWith(Ngrams.Count(reference).Keys);
            foreach (Ngram<T> ngram in seen)
                CollectionsMarshal.GetValueRefOrAddDefault(inverseFrequency, ngram, out _)++;
        }
        logDocuments = Math.Log(Math.Max(1, documents));
        foreach ((Ngram<T> ngram, double count) in inverseFrequency)
            inverseFrequency[ngram] = logDocuments - Math.Log(count);
    }

    /// <summary>CIDEr-D of one sentence: n-gram weights clipped to the reference's, and a Gaussian penalty (σ = 6) on a difference in
    /// length.</summary>
    /// <param name="hypothesis">The sentence.</param>
    /// <param name="references">Its photo's references, at least one; the score is their mean.</param>
    /// <returns>0 to 10.</returns>
    /// <exception cref="ArgumentException">There is no reference.</exception>
    public double Score(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references) => Mean(hypothesis, references, clipped: true);

    /// <summary>CIDEr of one sentence as first defined: the plain cosine, neither clipped nor penalised for its length.</summary>
    /// <inheritdoc cref="Score"/>
    public double PlainScore(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references) => Mean(hypothesis, references, clipped: false);

    private double Mean(IReadOnlyList<T> hypothesis, IReadOnlyList<IReadOnlyList<T>> references, bool clipped)
    {
        ArgumentNullException.ThrowIfNull(hypothesis);
        ArgumentNullException.ThrowIfNull(references);
        if (references.Count == 0)
            throw new ArgumentException("There is no reference.", nameof(references));
        var vector = new Vector(this, hypothesis);
        double sum = 0;
        foreach (IReadOnlyList<T> reference in references)
            sum += Similarity(vector, new Vector(this, reference), clipped);
        return 10 * sum / references.Count;
    }

    /// <summary>Mean over the four lengths of n-grams of the cosine between the two vectors.</summary>
    private static double Similarity(Vector hypothesis, Vector reference, bool clipped)
    {
        Span<double> products = stackalloc double[Ngram<T>.MaxLength];
        foreach ((Ngram<T> ngram, double weight) in hypothesis.Weights)
        {
            if (reference.Weights.TryGetValue(ngram, out double other))
                products[ngram.Length - 1] += (clipped ? Math.Min(weight, other) : weight) * other;
        }
        double sum = 0;
        for (int i = 0; i < products.Length; i++)
        {
            if (products[i] != 0)
                sum += products[i] / Math.Sqrt(hypothesis.SquaredNorms[i] * reference.SquaredNorms[i]);
        }
        double difference = hypothesis.Length - reference.Length;
        double penalty = clipped ? Math.Exp(-difference * difference / (2 * Sigma * Sigma)) : 1;
        return penalty * sum / products.Length;
    }

    /// <summary>A sentence's n-grams with their tf-idf weights.</summary>
    private sealed class Vector
    {
        public readonly Dictionary<Ngram<T>, double> Weights;
        public readonly double[] SquaredNorms = new double[Ngram<T>.MaxLength]; // by n-gram length - 1
        public readonly int Length; // in pairs of words, as in the code that is matched

        public Vector(Cider<T> cider, IReadOnlyList<T> sentence)
        {
            Dictionary<Ngram<T>, int> counts = Ngrams.Count(sentence);
            Weights = new(counts.Count);
            Length = Math.Max(0, sentence.Count - 1);
            foreach ((Ngram<T> ngram, int count) in counts)
            {
                double weight = count * cider.inverseFrequency.GetValueOrDefault(ngram, cider.logDocuments);
                Weights[ngram] = weight;
                SquaredNorms[ngram.Length - 1] += weight * weight;
            }
        }
    }
}
