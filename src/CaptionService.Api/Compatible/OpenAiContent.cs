using System.Text.Json;
using CaptionService.Api.Captions;

namespace CaptionService.Api.Compatible;

/// <summary>The text and the photos of OpenAI's messages, of chat completions and of responses.</summary>
/// <param name="Text">What the user says, for its language; programs write what the system says, mostly in English.</param>
/// <param name="Images">The photos behind the last answer; where there is none, those before it: a question about them again.</param>
internal sealed record OpenAiContent(string Text, IReadOnlyList<JsonPhoto?> Images)
{
    public static OpenAiContent Of(IEnumerable<(string? Role, JsonElement? Content)> messages)
    {
        var text = new List<string>();
        var images = new List<JsonPhoto?>();
        bool answered = false;
        foreach ((string? role, JsonElement? content) in messages)
        {
            if (role == "assistant")
            {
                answered = true;
                continue;
            }
            var said = new List<string>();
            JsonPhoto?[] found = [.. Parts(content, said)];
            text.AddRange(role is null or "user" ? said : []);
            if (found.Length > 0 && answered)
            {
                images.Clear();
                answered = false;
            }
            images.AddRange(found);
        }
        return new OpenAiContent(string.Join('\n', text), images);
    }

    /// <summary>A text member of an object; null where there is none.</summary>
    public static string? Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>Whether a member of an object is true.</summary>
    public static bool IsTrue(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private static IEnumerable<JsonPhoto?> Parts(JsonElement? content, List<string> text)
    {
        if (content is { ValueKind: JsonValueKind.String } plain)
            text.Add(plain.GetString()!);
        if (content is not { ValueKind: JsonValueKind.Array } parts)
            yield break;
        foreach (JsonElement part in parts.EnumerateArray())
        {
            if (Member(part, "text") is { } words)
                text.Add(words);
            if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("image_url", out JsonElement image))
            {
                // {"url": …} in chats, the URL itself in responses.
                JsonElement url = image.ValueKind == JsonValueKind.Object && image.TryGetProperty("url", out JsonElement inside) ? inside : image;
                yield return url.ValueKind == JsonValueKind.String ? url.Deserialize<JsonPhoto>() : null;
            }
        }
    }
}
