namespace CaptionService.Captioning.Search;

/// <summary>Guides the search of some photos towards pairs of words: what a pair adds to a beam's log-probability while beams are
/// compared.</summary>
/// <param name="Bonuses">The words that earn a bonus after a word, for a photo by its row and that word's id: log-probability by
/// id.</param>
/// <param name="PairPenalty">What every pair of words costs a beam, as log-probability: 0 up.</param>
public sealed record Guide(Func<int, int, IReadOnlyDictionary<int, float>> Bonuses, float PairPenalty);
