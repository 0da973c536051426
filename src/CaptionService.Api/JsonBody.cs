using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Api;

/// <summary>Reads a small JSON body strictly: what is misspelt is refused by name, never ignored.</summary>
internal static class JsonBody
{
    private const int MaxBytes = 64 * 1024;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        NumberHandling = JsonNumberHandling.Strict,
        AllowDuplicateProperties = false,
    };

    /// <exception cref="ProblemException">The body is no JSON object, or a member is unknown or of the wrong type.</exception>
    public static async Task<T> Read<T>(HttpRequest request, CancellationToken aborted) where T : class
    {
        byte[] bytes = new byte[MaxBytes + 1];
        int length = await request.Body.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, aborted);
        if (length > MaxBytes)
        {
            throw new ProblemException(ProblemTable.BodyTooLarge, $"The body may have {MaxBytes:N0} bytes.");
        }
        try
        {
            return JsonSerializer.Deserialize<T>(bytes.AsSpan(0, length), Format) ?? throw new ProblemException(ProblemTable.MalformedBody, "The body is null.");
        }
        catch (JsonException wrong) when (wrong.Path is { Length: > 2 } path && path[0] == '$')
        {
            string members = string.Join(", ", typeof(T).GetProperties().Select(property => JsonNamingPolicy.CamelCase.ConvertName(property.Name)));
            string name = path[2..] is { Length: > 40 } longName ? longName[..40] + "…" : path[2..];
            throw new ProblemException(ProblemTable.InvalidOption, wrong.Message.Contains("could not be mapped", StringComparison.Ordinal)
                ? $"There is no member '{name}'; there are {members}."
                : $"{name} is of the wrong type.");
        }
        catch (JsonException wrong)
        {
            throw new ProblemException(ProblemTable.MalformedBody, $"The body is no JSON object (line {wrong.LineNumber + 1}).");
        }
    }
}
