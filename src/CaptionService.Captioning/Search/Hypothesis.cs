namespace CaptionService.Captioning.Search;

/// <summary>One sequence of words found for a photo.</summary>
/// <param name="Words">Ids of the words, without start and end; never empty.</param>
/// <param name="WordLogProbabilities">Natural logarithm of each word's probability given those before it.</param>
/// <param name="LogProbability">Their sum and, when ended, that of the end.</param>
/// <param name="Score">log p / length^a: what the search compares hypotheses by, where nothing guides it.</param>
/// <param name="Ended">Whether the decoder ended it; if not, it was cut at the greatest length.</param>
/// <param name="Rows">For each word the row, photo · b + beam, of the step's (n, b) arguments whose output produced it: where a caller that
/// keeps each step's attention finds the word's.</param>
public record Hypothesis(int[] Words, float[] WordLogProbabilities, double LogProbability, double Score, bool Ended, int[] Rows);
