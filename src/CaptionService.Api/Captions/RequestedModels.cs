using CaptionService.Api.Models;
using CaptionService.Captioning.Language;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace CaptionService.Api.Captions;

/// <summary>
/// Which models answer a request: the one it names, those of the languages it names, or that of the language that its
/// <c>Accept-Language</c> prefers. Tags are looked up as RFC 4647 (3.4) says: <c>de-AT</c> finds <c>de</c>. Since one model is active
/// for each language, whatever its script or region, the first subtag decides.
/// </summary>
internal static class RequestedModels
{
    /// <summary>The models, each once, in the order asked.</summary>
    /// <exception cref="ProblemException">There is no such model or language, or the model's language is not the one asked for.</exception>
    public static RegisteredModel[] Of(RequestedOptions options, StringValues acceptLanguage, ModelRegistry models)
    {
        if (options.Model is { } name)
        {
            RegisteredModel model = models.Find(name);
            return options.Languages.FirstOrDefault(language => !Tokenizer.SameLanguage(language, model.Card.Language)) is { } other
                ? throw RequestedOptions.Invalid($"language is '{other.Shortened()}', but {model.Reference} writes '{model.Card.Language}': leave one of them out.")
                : [model];
        }
        return options.Languages.Count > 0
            ? [.. options.Languages.Select(language => models.ActiveFor(language) ?? throw Unknown(language, models)).Distinct()]
            : [Preferred(acceptLanguage, models)];
    }

    /// <summary>The default where nothing is preferred or nothing preferred is there: a caption in another language is better than none.</summary>
    private static RegisteredModel Preferred(StringValues acceptLanguage, ModelRegistry models)
    {
        if (StringWithQualityHeaderValue.TryParseList(acceptLanguage, out IList<StringWithQualityHeaderValue>? ranges))
        {
            string[] refused = [.. ranges.Where(range => range.Quality == 0).Select(range => range.Value.ToString())];
            foreach (StringWithQualityHeaderValue range in ranges.Where(range => range.Quality != 0).OrderByDescending(range => range.Quality ?? 1))
            {
                string wanted = range.Value.ToString();
                if (models.Active.FirstOrDefault(model => (wanted == "*" || Tokenizer.SameLanguage(wanted, model.Card.Language))
                    && !Array.Exists(refused, unwanted => Covers(unwanted, model.Card.Language))) is { } found)
                {
                    return found;
                }
            }
        }
        return models.Active[0];
    }

    private static bool Covers(string range, string tag) =>
        tag.StartsWith(range, StringComparison.OrdinalIgnoreCase) && (tag.Length == range.Length || tag[range.Length] == '-');

    private static ProblemException Unknown(string language, ModelRegistry models) => new(ProblemTable.UnknownLanguage,
        $"No model writes '{language.Shortened()}'; the languages are {string.Join(", ", models.Active.Select(model => model.Card.Language))}.");
}
