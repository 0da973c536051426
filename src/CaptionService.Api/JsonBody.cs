using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Api;

/// <summary>Reads a small JSON body strictly: what is misspelt is refused by name, never ignored.</summary>
internal static class JsonBody
{
    /// <summary>Largest body, in bytes.</summary>
    public const int MaxBytes = 64 * 1024;

    private static readonly JsonSerializerOptions Format = new(Json.Requests) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };

    /// <exception cref="ProblemException">The body is no JSON object, or a member is unknown or of the wrong type.</exception>
    public static async Task<T> Read<T>(HttpRequest request, CancellationToken aborted) where T : class
    {
        byte[] bytes = await RequestBody.Read(request, MaxBytes, aborted);
        try
        {
            return JsonSerializer.Deserialize<T>(bytes, Format) ?? throw new ProblemException(ProblemTable.MalformedBody, "The body is null.");
        }
        catch (JsonException wrong) when (wrong.Path is { Length: > 2 } path && path[0] == '$')
        {
            string[] members = [.. typeof(T).GetProperties().Select(property => JsonNamingPolicy.CamelCase.ConvertName(property.Name))];
            string name = path[2..];
            throw new ProblemException(ProblemTable.InvalidOption, wrong.Message.Contains("could not be mapped", StringComparison.Ordinal)
                ? ShortText.NoSuch("member", name, members)
                : $"{name.Shortened()} is of the wrong type.");
        }
        catch (JsonException wrong)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is no JSON object (line {wrong.LineNumber + 1}).");
        }
    }
}
